"""Grouped convolutions by the operations that every TensorFlow has."""

import tensorflow as tf


def convolve_by_groups(layer, inputs, kernel):
    """Returns what a layer with groups computes, one convolution for each.

    On a CPU, Keras compiles a grouped convolution with XLA, which is slower and
    which servers may lack; TensorFlow's own kernel has no gradient in some
    dtypes, and none with the bias that its optimizer fuses to it.

    Args:
        layer: `keras.layers.Conv2D`, channels last.
        inputs: float tensor `(batch, height, width, channels)`.
        kernel: float tensor `(rows, columns, channels / groups, filters)`.

    Returns:
        float tensor `(batch, any, any, filters)`, without the bias.
    """
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
