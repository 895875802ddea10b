"""The softmax or the like that a network ends with."""

import keras
import numpy as np
import tensorflow as tf

from keras_sat.checks.graphs import ACTIVATION_LAST
from keras_sat.checks.graphs import has_weights
from keras_sat.checks.graphs import is_graph

# Errors of functions that are given numbers which they cannot take.
CANNOT_RUN = (
    AttributeError,
    NotImplementedError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
# The error of probabilities in float16 and bfloat16.
ROUNDING = 1e-2


def ending(model):
    """Finds a softmax or the like after the logits of a network.

    The operations at the end are run on some numbers. So it does not matter how
    a softmax is written, or which operations without effect follow it.

    Args:
        model: built `keras.Model`.

    Returns:
        `"softmax"`, `"log-softmax"`, `"sigmoid"` or `None`, and the list of
        the layers and operations that compute it.
    """
    if not is_graph(model) or not getattr(model, "outputs", None):
        return None, []
    chain, found = [], (None, [])
    # The numbers are needed now, also while a function is traced.
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
            if kind in ("softmax", "log-softmax") or has_weights(part):
                break
    return found


def _backwards(tensor):
    """Walks from an output towards the input, as long as there is one way.

    Args:
        tensor: symbolic output of a layer or operation.

    Yields:
        Pairs of a layer or operation, and the node of its call.
    """
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
    """Returns a part of the end as a function of one tensor.

    Args:
        part: layer or operation.
        node: the node of its call.

    Returns:
        The function, and the shape that it takes. Of a layer with weights, this
        is the activation that it applies last. `None` if the part has several
        inputs, or weights and no such activation.
    """
    shapes = [
        (tensor.shape[0] or 2, *tensor.shape[1:])
        for tensor in (*node.input_tensors, *node.output_tensors)
    ]
    if len(shapes) != 2 or None in sum(shapes, ()):
        return None
    before, after = shapes
    if has_weights(part):
        activation = getattr(part, "activation", None)
        if not isinstance(part, ACTIVATION_LAST) or not _is_ready(activation):
            return None
        return activation, after
    if np.prod(before) != np.prod(after):
        return None
    tensor = node.input_tensors[0]

    def function(x):
        arguments = node.arguments.fill_in({id(tensor): x})
        return part(*arguments[0], **arguments[1])

    return function, before


def _is_ready(activation):
    """Tells if an activation can be called without making weights."""
    if isinstance(activation, keras.layers.Layer):
        return activation.built and not activation.weights
    return callable(activation)


def _numbers(shape):
    """Returns numbers between -9 and 9, on which a sigmoid shows its bounds."""
    count = int(np.prod(shape[1:]))
    row = 9 * np.sin(2 + np.arange(count) * 2.4)
    rows = [row * factor for factor in np.linspace(-1, 1, shape[0])]
    return np.reshape(rows, shape).astype("float32")


def _run(functions, x):
    """Runs functions one after the other; `None` if one cannot be run."""
    x = tf.constant(x)
    try:
        for function in functions:
            x = function(x)
        return np.asarray(tf.cast(x, tf.float32))
    except CANNOT_RUN:
        return None


def _kind(y):
    """Returns the name of the function that returned these numbers."""
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
    """Returns the parts that change numbers.

    Args:
        chain: list of pairs of a part and its function.
        shape: tuple of int. What the first one takes.
    """
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
