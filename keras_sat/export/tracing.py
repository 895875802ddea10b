"""A network as a function of operations that every TensorFlow has."""

import contextlib
import functools

import keras
import tensorflow as tf

from keras_sat import checks

PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


def traced(network, image_shape):
    """A network in inference mode, as one function for all signatures.

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
    # Keras compiles some operations with XLA, which servers may lack. A
    # function that runs eagerly becomes a part of the one that is traced.
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
    for layer in grouped:
        convolve = functools.partial(_convolve, layer)
        vars(layer)["convolution_op"] = convolve
    try:
        yield
    finally:
        for layer in grouped:
            del vars(layer)["convolution_op"]


def _convolve(layer, inputs, kernel):
    """What a layer with groups computes, group by group."""
    kernel = keras.ops.convert_to_tensor(kernel)
    options = {
        "padding": layer.padding.upper(),
        "dilations": layer.dilation_rate,
    }
    strides, channels = layer.strides, inputs.shape[-1]
    if layer.groups == channels and strides[0] == strides[1]:
        kernel = tf.reshape(kernel, (*kernel.shape[:2], channels, -1))
        strides = (1, *strides, 1)
        return tf.nn.depthwise_conv2d(inputs, kernel, strides, **options)
    groups = zip(
        tf.split(inputs, layer.groups, axis=-1),
        tf.split(kernel, layer.groups, axis=-1),
        strict=True,
    )
    outputs = [tf.nn.conv2d(x, k, strides, **options) for x, k in groups]
    return tf.concat(outputs, axis=-1)
