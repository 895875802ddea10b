"""Scaling of uint8 images to floats, and back: the only place that does it."""

import numpy as np
import tensorflow as tf


def to_float(images, value_range):
    """Returns images as float32, and scales uint8 ones to `value_range`.

    Args:
        images: uint8 tensor, or float tensor that lies in `value_range`
            already.
        value_range: pair of floats. The values of black and of white.

    Returns:
        float32 tensor of the same shape. Float images keep their values.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        low, high = value_range
        return tf.cast(images, tf.float32) * ((high - low) / 255) + low
    # In bfloat16, neighbouring numbers near 0.9 are 1/255 apart, so that small
    # perturbations would vanish.
    return tf.cast(images, tf.float32)


def to_grey_levels(images, value_range):
    """Returns images as uint8, rounded to the nearest levels.

    Args:
        images: float array in `value_range`.
        value_range: pair of floats. The values of black and of white.

    Returns:
        uint8 array of the same shape.
    """
    low, high = value_range
    levels = np.subtract(images, low, dtype="float32")
    # In place: these are all images of an evaluation.
    levels *= 255 / (high - low)
    return np.rint(levels, out=levels).astype("uint8")
