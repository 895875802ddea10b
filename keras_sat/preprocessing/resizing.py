"""Bicubic resizing of images, as the official programs do it."""

import tensorflow as tf


def resize(image, height, width):
    """The resize of the official EfficientNet code.

    Bicubic, with the corners of the pixels as their places, as TensorFlow 1
    did it: weights of official checkpoints have seen no other one. The cubic
    overshoots at edges; the official code leaves that in, here it is clipped.

    Args:
        image: tensor `(any, any, channels)` in `[0, 255]`.
        height: int >= 1.
        width: int >= 1.

    Returns:
        float32 tensor `(height, width, channels)` in `[0, 255]`.
    """
    # Faster than to let the kernel convert each pixel 16 times.
    images = tf.cast(image, tf.float32)[tf.newaxis]
    images = tf.raw_ops.ResizeBicubic(images=images, size=(height, width))
    return _clipped(images[0])


def resize_plain(image, height, width):
    """The bicubic resize of `tf.image.resize`; see `resize`."""
    image = tf.image.resize(image, (height, width), "bicubic")
    return _clipped(image)


def resize_as_cv2(image, height, width):
    """The bicubic resize of OpenCV, without its library; see `resize`."""
    shape = tf.shape(image)
    rows = cubic_taps(shape[0], height, 0, height)
    columns = cubic_taps(shape[1], width, 0, width)
    return resample(image, rows, columns)


RESIZINGS = {
    "tf1_bicubic": resize,
    "bicubic": resize_plain,
    "cv2_bicubic": resize_as_cv2,
}


def to_uint8(image):
    """The nearest uint8 values of a float tensor of `[0, 255]` and around."""
    return tf.cast(tf.round(_clipped(image)), tf.uint8)


def cubic_taps(source, size, start, count):
    """Which pixels a resized line is made of.

    Args:
        source: int32 scalar. Length of the line.
        size: int32 scalar. Length of the resized line.
        start: int32 scalar. First pixel of the resized line that is needed.
        count: int. How many are needed.

    Returns:
        Tensors `(count, 4)`: int32 indices, and float32 weights with the sum 1.
    """
    step = tf.cast(source, tf.float64) / tf.cast(size, tf.float64)
    places = (tf.cast(start + tf.range(count), tf.float64) + 0.5) * step - 0.5
    first = tf.floor(places)
    x, a = places - first, -0.75
    outer = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    other = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    weights = tf.stack([outer, inner, other, 1 - outer - inner - other], -1)
    indices = tf.cast(first, tf.int32)[:, tf.newaxis] + tf.range(-1, 3)
    indices = tf.clip_by_value(indices, 0, source - 1)
    return indices, tf.cast(weights, tf.float32)


def resample(image, rows, columns):
    """Weighted sums of pixels, rounded as OpenCV does it for uint8."""
    which, weights = rows
    lines = tf.gather(tf.cast(image, tf.float32), which)
    lines = tf.reduce_sum(lines * weights[:, :, tf.newaxis, tf.newaxis], 1)
    which, weights = columns
    pixels = tf.gather(lines, which, axis=1) * weights[:, :, tf.newaxis]
    return _clipped(tf.round(tf.reduce_sum(pixels, 2)))


def _clipped(image):
    """In `[0, 255]`; one pass where `tf.clip_by_value` makes two."""
    return tf.raw_ops.ClipByValue(
        t=image, clip_value_min=0.0, clip_value_max=255.0
    )
