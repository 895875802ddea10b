"""Checks of what a network takes and returns: images, and logits."""

import keras
import numpy as np

from keras_sat.checks import graphs
from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse
from keras_sat.checks.endings import are_probabilities

RETURNS_PROBABILITIES = "outputs that sum to 1"
WITHOUT_SOFTMAX = (
    "Return what comes before the softmax: of a functional or sequential "
    "network, convert_activations(network, ..., remove_softmax=True) leaves it "
    "out. Or return the logarithm of the probabilities."
)


def shapes(model, name="model"):
    """Returns the shape of an image, and the number of classes.

    Args:
        model: built `keras.Model`. A subclassed one is called with a symbol of
            the shape that it was built with.
        name: str. The argument, for errors.

    Returns:
        Tuple of int, or `None` for any size, and int, or `None` if unknown.

    Raises:
        ValueError: If there is no such shape, or not one output `(batch,
            num_classes)`.
    """
    if graphs.is_graph(model) and getattr(model, "inputs", None):
        (images,), (outputs,) = model.inputs, model.outputs
    else:
        images = keras.KerasTensor((None, *_built_with(name, model)))
        outputs = model(images, training=False)
    logits(name, outputs)
    return tuple(images.shape[1:]), outputs.shape[1]


def known_shapes(model):
    """Returns what the graph tells of the shape of images and the classes.

    Args:
        model: `SATModel`, `keras.Model` or function.

    Returns:
        See `shapes`. A pair of `None` for a function, and for a network that
        is subclassed or not built.
    """
    inner = graphs.network_of(model)
    if graphs.is_graph(inner) and inner.built:
        return shapes(inner)
    return None, None


def logits(name, outputs, count=None):
    """Checks the kind and shape of what a classifier returned.

    Args:
        name: str. The argument that the classifier was given for.
        outputs: the tensor that it returned, symbolic or not.
        count: int. The number of images. Unknown if `None`.

    Raises:
        TypeError: If `outputs` is no tensor.
        ValueError: If it does not have the shape `(batch, num_classes)`, with
            two classes or more.
    """
    if isinstance(outputs, dict | list | tuple):
        received = f"{len(outputs)} outputs in a {type(outputs).__name__}"
        refuse(
            name,
            "have one output, the logits",
            Described(received),
            "Give keras.Model(network.inputs, network.outputs[0]), or a "
            f"function that returns the part [{_key(outputs)!r}] of them.",
        )
    if not hasattr(outputs, "shape"):
        kind = Described(f"a {type(outputs).__name__}")
        refuse(name, "return a tensor of logits", kind, error=TypeError)
    _check_classes(name, outputs.shape, count)


def not_probabilities(name, values):
    """Refuses outputs that sum to 1 for every image.

    This finds probabilities where there is no graph to look into: functions,
    subclassed networks, SavedModels. Outputs that are the same for all images
    are accepted, because they could be anything.

    Args:
        name: str. The argument that the classifier was given for.
        values: array `(batch, num_classes)` that it returned.

    Raises:
        ValueError: If these are probabilities.
    """
    values = np.asarray(values)
    varied = len(values) == 1 or np.any(np.ptp(values, axis=0))
    if varied and are_probabilities(values):
        refuse(
            name,
            "return logits",
            Described(RETURNS_PROBABILITIES),
            WITHOUT_SOFTMAX,
        )


def _check_classes(name, shape, count=None):
    """Checks the shape of logits; see `logits`."""
    expected = "return logits of the shape (batch, num_classes)"
    received = Described(f"outputs of the shape {tuple(shape)}")
    if getattr(shape, "rank", len(shape)) != 2:
        refuse(name, expected, received, "Pool or flatten the outputs.")
    if count is not None and shape[0] not in (None, count):
        refuse(name, expected, received)
    if shape[1] is not None and shape[1] < 2:
        refuse(
            name,
            f"{expected}, with two classes or more",
            received,
            "Give the negative class of a binary model the logit 0.",
        )


def _built_with(name, model):
    """Returns the shape of the images that a network was built with."""
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, tuple | list) or not all(
        isinstance(size, int | None) for size in shape
    ):
        refuse(
            name,
            "be built with one tensor of images (batch, ...)",
            Described(f"a {type(model).__name__} built with {shape}"),
            "Call it once on images.",
        )
    return shape[1:]


def _key(outputs):
    """Returns what the first one of several outputs is found by."""
    return next(iter(outputs), 0) if isinstance(outputs, dict) else 0
