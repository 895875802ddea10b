"""The kernels that weight decay means, and its penalty."""

import tensorflow as tf


def kernels(model):
    """The trainable variables that weight decay applies to.

    Args:
        model: `keras.Model`.

    Returns:
        List of the kernels of convolutions and dense layers.
    """
    return [v for v in model.trainable_variables if "kernel" in v.name]


def penalty(model):
    """Half of the sum of the squared kernels, a float32 scalar.

    Kernels of any precision count: each is squared and summed in float32, in
    which half precision does not overflow. Without kernels it is 0.

    Args:
        model: `keras.Model`.
    """
    squares = [
        tf.nn.l2_loss(tf.cast(kernel.value, tf.float32))
        for kernel in kernels(model)
    ]
    return tf.add_n([tf.zeros([]), *squares])
