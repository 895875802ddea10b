"""Pixels as floats between black and white: the one place that scales uint8."""

import tensorflow as tf


def to_float(images, value_range):
    """Images as float32 in `value_range`; uint8 images are scaled to it.

    Args:
        images: uint8 tensor, or float tensor in `value_range`.
        value_range: pair of floats, what black and white are.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        low, high = value_range
        return tf.cast(images, tf.float32) * ((high - low) / 255) + low
    return tf.cast(images, tf.float32)
