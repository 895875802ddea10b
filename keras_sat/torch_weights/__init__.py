"""Weights of PyTorch networks, for models of Keras."""

from keras_sat.torch_weights.checkpoints import load_torch_checkpoint

__all__ = ["load_torch_checkpoint"]
