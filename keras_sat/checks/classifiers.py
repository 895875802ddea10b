"""Checks of what a network must be to be attacked and trained."""

import keras

from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse


def classifier(name, model):
    """Checks that `model` is a built Keras model with logits as its output."""
    if not isinstance(model, keras.Model):
        refuse(name, "be a keras.Model", model, error=TypeError)
    if not model.built:
        refuse(
            name, "be built", model, "Give it a keras.Input, or call it once."
        )
    outputs = keras.tree.flatten(model.output_shape)
    if isinstance(model.output_shape, dict | list):
        refuse(
            name,
            "have one output, the logits",
            Described(f"{len(model.output_shape)} outputs"),
        )
    if len(outputs) != 2:
        refuse(
            name,
            "return logits of the shape (batch, num_classes)",
            Described(f"the output shape {model.output_shape}"),
        )
    if _ends_in_softmax(model):
        refuse(
            name,
            "return logits",
            Described("outputs that sum to 1"),
            "Build it with `classifier_activation=None`.",
        )


def _ends_in_softmax(model):
    """Whether the last operation of a functional model makes probabilities."""
    while isinstance(model, keras.Model):
        if not getattr(model, "outputs", None):
            return False
        model = model.outputs[0]._keras_history.operation
    activation = getattr(model, "activation", None)
    return (
        type(model).__name__ == "Softmax"
        or activation is keras.activations.softmax
    )
