"""Checks of what a network must be to be attacked and trained."""

import contextlib

import keras
import numpy as np

from keras_sat.checks import graphs
from keras_sat.checks import outputs
from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse
from keras_sat.checks.endings import ending
from keras_sat.checks.graphs import network_of

FLOAT_INPUT = (
    "Build it with a float input, keras.Input(shape, dtype='float32'), and "
    "give value_range=(0, 255) if it takes grey levels."
)
NO_ACTIVATION = (
    "Build it with `classifier_activation=None`. Of a network that exists, "
    "convert_activations(network, ..., remove_softmax=True) leaves it out."
)
# From what a network ends with to a description of what it returns.
ENDINGS = {
    "softmax": outputs.RETURNS_PROBABILITIES,
    "log-softmax": "logarithms of outputs that sum to 1, of a log-softmax",
    "sigmoid": "outputs between 0 and 1, of a sigmoid or the like",
}
# Errors of functions of NumPy when they are given a tensor of TensorFlow.
ERRORS_OF_OTHER_FRAMEWORKS = (
    AttributeError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
EXPECTED_FUNCTION = (
    "be a keras.Model, or a function of TensorFlow operations, from images "
    "to logits"
)


def classifier(name, model):
    """Checks that `model` is a built Keras model with logits as its output.

    Args:
        name: str. The argument.
        model: the value of the argument.

    Returns:
        The shape of an image and the number of classes; see
        `outputs.shapes`.

    Raises:
        TypeError: If it is no Keras model, or a `SATModel`.
        ValueError: If it is not built, if its input is not one float tensor of
            images, or if its output is not one tensor of logits.
    """
    keras_network(name, model)
    if not model.built:
        refuse(
            name, "be built", model, "Give it a keras.Input, or call it once."
        )
    _check_network(name, model)
    image_shape, num_classes = outputs.shapes(model, name)
    if not image_shape:
        _refuse_inputs(name, "an input of single numbers")
    if num_classes is None:
        refuse(
            name,
            "return logits of the shape (batch, num_classes)",
            Described("an unknown number of classes"),
            "Reshape the outputs to it.",
        )
    if not graphs.is_graph(model):
        outputs.not_probabilities(
            name, model(_some_images(image_shape), training=False)
        )
    return image_shape, num_classes


def attackable(name, model):
    """Checks a classifier of any kind, as far as possible without images.

    Args:
        name: str. The argument.
        model: `SATModel`, `keras.Model`, built or not, or function.

    Raises:
        TypeError: If it cannot be called.
        ValueError: If it is a network that does not map float images to
            logits.
    """
    if not callable(model):
        fix = "Load a file with keras_sat.load_classifier."
        refuse(name, EXPECTED_FUNCTION, model, fix, TypeError)
    if isinstance(model, keras.Model):
        _check_network(name, network_of(model))


def keras_network(name, model):
    """Checks that `model` is a Keras model, and no `SATModel` around one."""
    if not isinstance(model, keras.Model):
        refuse(name, "be a keras.Model", model, error=TypeError)
    if network_of(model) is not model:
        refuse(
            name,
            "be a network",
            Described(f"a {type(model).__name__}, which contains one"),
            "Pass its `.model`.",
            TypeError,
        )


def layer_graph(name, model):
    """Checks that `model` is a built functional or sequential model."""
    keras_network(name, model)
    if not model.built:
        refuse(name, "be built", model, "Give it a keras.Input.")
    if not graphs.is_graph(model):
        refuse(
            name,
            "be functional or sequential, without a `call` of its own",
            Described(f"the subclassed model {type(model).__name__}"),
            "Pass another activation where it is made, or convert the "
            "functional models inside.",
        )


@contextlib.contextmanager
def explained_failures(name, model):
    """Explains errors of functions that cannot take TensorFlow's tensors.

    Args:
        name: str. The argument that the function was given for.
        model: layer, model or function, which is called in the `with` block.

    Raises:
        TypeError: If a function fails like one of NumPy arrays does.
    """
    try:
        yield
    except ERRORS_OF_OTHER_FRAMEWORKS as error:
        if isinstance(model, keras.layers.Layer):
            raise
        reason = str(error).strip().split("\n")[0].rstrip(". ")
        received = f"{_name(model)}, with {type(error).__name__}: {reason}"
        fix = (
            "One of NumPy arrays, of another framework or of a web service "
            "has no gradients that attacks could follow."
        )
        try:
            refuse(name, EXPECTED_FUNCTION, Described(received), fix, TypeError)
        except TypeError as refusal:
            raise refusal from error


def _check_network(name, model):
    """Checks inputs and outputs of a network, as far as it has a graph."""
    for part in model._flatten_layers():
        if not graphs.is_graph(part):
            continue
        for tensor in getattr(part, "inputs", None) or ():
            if not keras.backend.is_float_dtype(tensor.dtype):
                received = f"an input of dtype {tensor.dtype}"
                where = "" if part is model else f" of {part.name!r}"
                _refuse_inputs(name, received + where, FLOAT_INPUT)
    if not graphs.is_graph(model) or not getattr(model, "inputs", None):
        return
    if len(model.inputs) != 1:
        _refuse_inputs(name, f"{len(model.inputs)} inputs")
    # Unlike `model.outputs`, it tells a tensor from a list with one tensor.
    structure = getattr(model, "_outputs_struct", model.outputs[0])
    outputs.logits(name, structure)
    kind, _ = ending(model)
    if kind:
        refuse(name, "return logits", Described(ENDINGS[kind]), NO_ACTIVATION)


def _refuse_inputs(name, received, fix=""):
    """Raises an error that says what a network has to take."""
    refuse(
        name,
        "take one float tensor of images (batch, ...)",
        Described(received),
        fix,
    )


def _some_images(shape):
    """Returns four images of noise, to see what a network makes of them."""
    shape = [4, *(32 if size is None else size for size in shape)]
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


def _name(function):
    return getattr(function, "__name__", type(function).__name__)
