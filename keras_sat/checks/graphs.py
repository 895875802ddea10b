"""Readings of the graph of a network, of its beginning and of its end."""

import keras
import numpy as np
import tensorflow as tf

# Their activation comes last, after all that has weights.
PLAIN = (
    keras.layers.Conv1D.__base__,
    keras.layers.Conv1DTranspose.__base__,
    keras.layers.DepthwiseConv1D.__base__,
    keras.layers.SeparableConv1D.__base__,
    keras.layers.Dense,
    keras.layers.EinsumDense,
)
# What functions raise when they are given numbers that they cannot take.
UNABLE = (
    AttributeError,
    NotImplementedError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
# float16 and bfloat16 round probabilities.
ROUNDING = 1e-2
# Layers that divide by less than this do not make 256 levels small numbers.
LARGE_SCALE = 50


def is_graph(model):
    """Tells if a model is no more than its layers and their connections."""
    if not isinstance(model, keras.Model):
        return False
    if not isinstance(model, keras.Sequential):
        if not hasattr(model, "operations"):
            return False
    definer = next(c for c in type(model).__mro__ if "call" in vars(c))
    return definer.__module__.startswith("keras.src.")


def parts(model):
    """The layers and operations of a functional or sequential model."""
    if isinstance(model, keras.Sequential):
        return model.layers
    return model.operations


def ending(model):
    """Finds a softmax or the like after the logits of a network.

    The operations at the end are run on some numbers, so that it does not
    matter how a softmax is written, or what of no effect follows it.

    Args:
        model: built `keras.Model`.

    Returns:
        `"softmax"`, `"log-softmax"`, `"sigmoid"` or `None`, and the list of
        the layers and operations that do it.
    """
    if not is_graph(model) or not getattr(model, "outputs", None):
        return None, []
    chain, found = [], (None, [])
    with tf.init_scope():
        for part, node in _backwards(model.outputs[0]):
            step = _step(part, node)
            if step is None:
                break
            function, shape = step
            chain.insert(0, (part, function))
            kind = _kind(_run([f for _, f in chain], _numbers(shape)))
            if kind and found[0] in (None, "sigmoid"):
                found = kind, _effective(chain, shape)
            if kind in ("softmax", "log-softmax") or _has_weights(part):
                break
    return found


def scaling(model):
    """The layer that makes of 256 grey levels small numbers, if there is one.

    Args:
        model: `keras.Model`.

    Returns:
        str, such as `"rescaling"`, the name of the layer before all others
        with weights; `None` if there is none.
    """
    scale = 1.0
    for part in _forwards(model):
        factor = _factor(part)
        if factor is None:
            return None
        scale *= factor
        if scale < 1 / LARGE_SCALE:
            return part.name
    return None


def _backwards(tensor):
    """Operations and their calls, from an output on, while one leads there."""
    operation, index, position = tensor._keras_history
    node = operation._inbound_nodes[index]
    if is_graph(operation):
        yield from _backwards(operation.outputs[position])
    elif isinstance(operation, keras.layers.InputLayer):
        return
    else:
        yield operation, node
    if len(node.input_tensors) == 1:
        yield from _backwards(node.input_tensors[0])


def _step(part, node):
    """The function that a part of the end is, and the shape that it takes.

    `None` if it mixes tensors or has weights, unless an activation comes after
    them.
    """
    shapes = [
        (tensor.shape[0] or 2, *tensor.shape[1:])
        for tensor in (*node.input_tensors, *node.output_tensors)
    ]
    if len(shapes) != 2 or None in sum(shapes, ()):
        return None
    before, after = shapes
    if _has_weights(part):
        activation = getattr(part, "activation", None)
        if not isinstance(part, PLAIN) or not _is_ready(activation):
            return None
        return activation, after
    if np.prod(before) != np.prod(after):
        return None
    tensor = node.input_tensors[0]

    def function(x):
        arguments = node.arguments.fill_in({id(tensor): x})
        return part(*arguments[0], **arguments[1])

    return function, before


def _has_weights(part):
    return bool(getattr(part, "weights", None))


def _is_ready(activation):
    """Tells if a call makes no weights."""
    if isinstance(activation, keras.layers.Layer):
        return activation.built and not activation.weights
    return callable(activation)


def _numbers(shape):
    """Some of any size: what is squashed then shows."""
    count = int(np.prod(shape[1:]))
    row = 9 * np.sin(2 + np.arange(count) * 2.4)
    rows = [row * factor for factor in np.linspace(-1, 1, shape[0])]
    return np.reshape(rows, shape).astype("float32")


def _run(functions, x):
    """Runs functions one after the other; gives `None` if one is unable."""
    x = tf.constant(x)
    try:
        for function in functions:
            x = function(x)
        return np.asarray(tf.cast(x, tf.float32))
    except UNABLE:
        return None


def _kind(y):
    """Names the function that returned these numbers."""
    if y is None or y.ndim < 2 or y.shape[-1] < 2:
        return None
    if are_probabilities(y.reshape(-1, y.shape[-1])):
        return "softmax"
    with np.errstate(over="ignore"):
        if are_probabilities(np.exp(y.reshape(-1, y.shape[-1]))):
            return "log-softmax"
    if y.min() >= 0 and y.max() <= 1 and y.max() > y.min():
        return "sigmoid"
    return None


def are_probabilities(outputs):
    """Tells if outputs `(batch, num_classes)` sum to 1 for every image."""
    outputs = np.asarray(outputs)
    return bool(
        np.all(outputs >= 0)
        and np.all(outputs <= 1 + ROUNDING)
        and np.allclose(outputs.sum(-1), 1, rtol=0, atol=ROUNDING)
    )


def _effective(chain, shape):
    """Those of the parts that do not leave all numbers as they are."""
    chosen = []
    for part, function in chain:
        x = _numbers(shape)
        y = _run([function], x)
        if y is None or not np.allclose(
            y.ravel(), x.ravel(), rtol=ROUNDING, atol=1e-6
        ):
            chosen.append(part)
        shape = shape if y is None else y.shape
    return chosen


def _forwards(model):
    """The layers and operations from the input on, those inside included."""
    if not is_graph(model):
        kinds = keras.layers.Rescaling, keras.layers.Normalization
        inside = model._flatten_layers(include_self=False)
        yield from (layer for layer in inside if isinstance(layer, kinds))
        return
    for part in parts(model):
        if isinstance(part, keras.Model):
            yield from _forwards(part)
        else:
            yield part


def _factor(part):
    """The factor of a part at the beginning, `None` for later ones."""
    if isinstance(part, keras.layers.Rescaling):
        return float(np.max(np.abs(part.scale)))
    if isinstance(part, keras.layers.Normalization):
        if getattr(part, "variance", None) is None:
            return 1.0
        return 1 / max(float(np.sqrt(np.max(part.variance))), 1e-7)
    kind = type(part).__name__
    if kind in ("TrueDivide", "Divide", "Multiply") and part._inbound_nodes:
        numbers = [
            value
            for value in part._inbound_nodes[0].arguments.args
            if isinstance(value, int | float)
        ]
        if len(numbers) == 1 and numbers[0]:
            size = abs(float(numbers[0]))
            return size if kind == "Multiply" else 1 / size
    return None if _has_weights(part) else 1.0
