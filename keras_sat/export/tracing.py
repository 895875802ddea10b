"""Tracing of a network to a graph that every TensorFlow can run."""

import contextlib
import functools

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.convolutions import convolve_by_groups

# Operations that call back into the process that wrote the graph.
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def traced(network, image_shape):
    """Traces a network in inference mode, once for all signatures.

    Args:
        network: `keras.Model`.
        image_shape: tuple. Height, width and channels.

    Returns:
        `tf.types.experimental.ConcreteFunction` from float images
        `(batch, height, width, channels)` to float32 logits.

    Raises:
        ValueError: If the network calls Python or needs XLA.
    """

    def serve(images):
        return tf.cast(network(images, training=False), tf.float32)

    spec = tf.TensorSpec((None, *image_shape), name="images")
    function = tf.function(serve, autograph=False)
    # Keras wraps some operations into functions compiled with XLA, which
    # servers may lack. Functions that run eagerly are traced without it.
    eager = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with _split_groups(network):
            logits = function.get_concrete_function(spec)
    finally:
        tf.config.run_functions_eagerly(eager)
    _check_operations(logits)
    return logits


def _check_operations(function):
    """Refuses what a server that knows only TensorFlow cannot run."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node]
    for part in graph.library.function:
        nodes += part.node_def
    found = {node.op for node in nodes if _is_foreign(node.op)}
    if any(f.attr["_XlaMustCompile"].b for f in graph.library.function):
        found.add("a function that only XLA may run")
    if found:
        checks.refuse(
            "model",
            "consist of operations that every server has",
            checks.Described(", ".join(sorted(found))),
            "Replace the layer that calls Python or XLA.",
        )


def _is_foreign(operation):
    """Tells if an operation needs Python or XLA."""
    return operation in PYTHON_OPERATIONS or operation.startswith("Xla")


@contextlib.contextmanager
def _split_groups(network):
    """Lets grouped convolutions run without XLA, and with a bias.

    On a CPU, TensorFlow refuses a grouped convolution that it has fused with
    the bias that follows, as it does when it optimizes the graph.
    """
    grouped = [
        layer
        for layer in network._flatten_layers()
        if isinstance(layer, keras.layers.Conv2D)
        and type(layer).convolution_op is keras.layers.Conv2D.convolution_op
        and layer.groups > 1
        and layer.data_format == "channels_last"
    ]
    # An attribute of the object comes before the method of its class.
    for layer in grouped:
        vars(layer)["convolution_op"] = functools.partial(_convolve, layer)
    try:
        yield
    finally:
        for layer in grouped:
            del vars(layer)["convolution_op"]


def _convolve(layer, inputs, kernel):
    return convolve_by_groups(layer, inputs, tf.convert_to_tensor(kernel))
