"""Checks of what a network must be to be attacked and trained."""

import contextlib

import keras
import numpy as np

from keras_sat.checks import graphs
from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse

FLOAT_INPUT = (
    "Build it with a float input, keras.Input(shape, dtype='float32'), and "
    "give value_range=(0, 255) if it takes grey levels."
)
NO_ACTIVATION = (
    "Build it with `classifier_activation=None`. Of a network that exists, "
    "convert_activations(network, ..., remove_softmax=True) leaves it out."
)
LOGARITHM = (
    "Return what comes before the softmax, or the logarithm of the "
    "probabilities."
)
# From what a network ends in to what it returns.
ENDINGS = {
    "softmax": "outputs that sum to 1",
    "log-softmax": "logarithms of outputs that sum to 1, of a log-softmax",
    "sigmoid": "outputs between 0 and 1, of a sigmoid or the like",
}
# What functions raise when they are given a tensor that has no values yet.
PYTHON = (
    AttributeError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
FUNCTION = (
    "be a keras.Model, or a function of TensorFlow operations, from images "
    "to logits"
)


def classifier(name, model):
    """Checks that `model` is a built Keras model with logits as its output.

    Args:
        name: str. The argument.
        model: what was given for it.

    Returns:
        The shape of an image and the number of classes; see `shapes`.

    Raises:
        TypeError: If it is no Keras model, or a `SATModel`.
        ValueError: If it is not built, or takes or returns something else than
            a float tensor of images and one of logits.
    """
    bare(name, model)
    if not model.built:
        refuse(
            name, "be built", model, "Give it a keras.Input, or call it once."
        )
    _check_network(name, model)
    image_shape, num_classes = shapes(model, name)
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
        outputs(name, model(_some_images(image_shape), training=False))
    return image_shape, num_classes


def attackable(name, model):
    """Checks a classifier of any kind, as far as that goes without images.

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
        refuse(name, FUNCTION, model, fix, TypeError)
    if isinstance(model, keras.Model):
        _check_network(name, network(model))


def bare(name, model):
    """Checks that `model` is a Keras model, and not one inside a `SATModel`."""
    if not isinstance(model, keras.Model):
        refuse(name, "be a keras.Model", model, error=TypeError)
    if network(model) is not model:
        refuse(
            name,
            "be a network",
            Described(f"a {type(model).__name__}, which contains one"),
            "Pass its `.model`.",
            TypeError,
        )


def network(model):
    """The network inside a `SATModel`; another model itself."""
    if all(hasattr(model, part) for part in ("model", "attack", "objective")):
        return model.model
    return model


def graph(name, model):
    """Checks that `model` is a built graph of layers that can be walked."""
    bare(name, model)
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


def shapes(model, name="model"):
    """The shape of an image, and the number of classes.

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
    """The shape of an image and the number of classes, where a graph tells.

    Args:
        model: `SATModel`, `keras.Model` or function.

    Returns:
        See `shapes`; a pair of `None` for a function, and for a network that
        is subclassed or not built.
    """
    inner = network(model)
    if graphs.is_graph(inner) and inner.built:
        return shapes(inner)
    return None, None


def logits(name, outputs, count=None):
    """Checks the kind and shape of what a classifier returned.

    Args:
        name: str. The argument that the classifier was given for.
        outputs: what it returned, symbolic or not.
        count: int. The number of images. Unknown if `None`.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If it cannot be logits `(batch, num_classes)`, of two
            classes or more.
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


def outputs(name, values):
    """Refuses outputs that sum to 1 for every image.

    That is how probabilities are found in models that nothing else tells of:
    functions, subclassed networks, SavedModels. Outputs that are the same for
    all images tell nothing.

    Args:
        name: str. The argument that the classifier was given for.
        values: array `(batch, num_classes)`. What it returned.

    Raises:
        ValueError: If these are probabilities.
    """
    values = np.asarray(values)
    varied = len(values) == 1 or np.any(np.ptp(values, axis=0))
    if varied and graphs.are_probabilities(values):
        refuse(name, "return logits", Described(ENDINGS["softmax"]), LOGARITHM)


def own_scaling(model):
    """The layer of a network that takes grey levels from 0 to 255, if any.

    Args:
        model: `SATModel`, `keras.Model` or function.

    Returns:
        str, the name of a `Rescaling`, `Normalization` or division at its
        beginning that makes 0 to 255 small, or `None`.
    """
    model = network(model)
    return graphs.scaling(model) if isinstance(model, keras.Model) else None


def check_value_range(model, value_range):
    """Refuses a small range for a network that makes pixels small by itself.

    Args:
        model: `SATModel`, `keras.Model` or function.
        value_range: pair of floats. What black and white are in its images.

    Raises:
        ValueError: If pixels would be scaled twice, and all images be black.
    """
    layer = own_scaling(model)
    if layer and max(map(abs, value_range)) <= 1:
        refuse(
            "value_range",
            f"be that of the network, whose layer {layer!r} divides pixels",
            tuple(value_range),
            "Give `value_range=(0, 255)`.",
        )


@contextlib.contextmanager
def calling(name, model):
    """Says what a function must be when TensorFlow's tensors are too much."""
    try:
        yield
    except PYTHON as error:
        if isinstance(model, keras.layers.Layer):
            raise
        reason = str(error).strip().split("\n")[0].rstrip(". ")
        received = f"{_name(model)}, with {type(error).__name__}: {reason}"
        fix = (
            "One of NumPy arrays, of another framework or of a web service "
            "has no gradients that attacks could follow."
        )
        try:
            refuse(name, FUNCTION, Described(received), fix, TypeError)
        except TypeError as refusal:
            raise refusal from error


def _check_network(name, model):
    """Checks all that the graph of a network tells."""
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
    structure = getattr(model, "_outputs_struct", model.outputs[0])
    logits(name, structure)
    kind, _ = graphs.ending(model)
    if kind:
        refuse(name, "return logits", Described(ENDINGS[kind]), NO_ACTIVATION)


def _refuse_inputs(name, received, fix=""):
    refuse(
        name,
        "take one float tensor of images (batch, ...)",
        Described(received),
        fix,
    )


def _check_classes(name, shape, count=None):
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
    """The shape of an image that a subclassed network was built with."""
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


def _some_images(shape):
    """Four images of noise, on which a network is looked at from outside."""
    shape = [4, *(32 if size is None else size for size in shape)]
    return np.random.default_rng(0).uniform(size=shape).astype("float32")


def _key(outputs):
    return next(iter(outputs), 0) if isinstance(outputs, dict) else 0


def _name(function):
    return getattr(function, "__name__", type(function).__name__)
