"""Grouped convolutions made of operations that every TensorFlow has."""

import tensorflow as tf


def convolve_by_groups(layer, inputs, kernel):
    """Computes a grouped convolution by one convolution for each group.

    On a CPU, Keras compiles a grouped convolution with XLA, which is slower,
    and which servers may lack. TensorFlow's own kernel has no gradient in some
    dtypes, and fails if its optimizer fuses it with a bias.

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
    # One channel in each group: TensorFlow has a faster kernel for that, but
    # for equal strides only.
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
