"""The predictions of a classifier: logits, gradients and classes."""
