"""Bicubic resizing of images, with the kernels of the official programs."""

import tensorflow as tf


def resize(image, height, width):
    """Resizes an image like the official EfficientNet code.

    Bicubic, with the places of pixels at their corners, which was the default
    of TensorFlow 1: the weights of official checkpoints were trained on it. The
    cubic overshoots at edges; the official code leaves these values as they
    are, here they are clipped.

    Args:
        image: tensor `(any, any, channels)` in `[0, 255]`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.

    Returns:
        float32 tensor `(height, width, channels)` in `[0, 255]`.
    """
    # The kernel would convert each uint8 pixel 16 times.
    images = tf.cast(image, tf.float32)[tf.newaxis]
    images = tf.raw_ops.ResizeBicubic(images=images, size=(height, width))
    return _clipped(images[0])


def resize_plain(image, height, width):
    """Resizes an image by `tf.image.resize`, bicubic. See `resize`."""
    image = tf.image.resize(image, (height, width), "bicubic")
    return _clipped(image)


def resize_as_cv2(image, height, width):
    """Resizes an image like OpenCV, without needing OpenCV. See `resize`."""
    shape = tf.shape(image)
    rows = cubic_taps(shape[0], height, 0, height)
    columns = cubic_taps(shape[1], width, 0, width)
    return resample(image, rows, columns)


# From the values of the argument `resizing` to functions.
RESIZINGS = {
    "tf1_bicubic": resize,
    "bicubic": resize_plain,
    "cv2_bicubic": resize_as_cv2,
}


def to_uint8(image):
    """Rounds a float tensor in `[0, 255]`, or a bit outside, to uint8."""
    return tf.cast(tf.round(_clipped(image)), tf.uint8)


def cubic_taps(source, size, start, count):
    """Returns which pixels a resized line is made of, and their weights.

    Args:
        source: int32 scalar. Length of the line.
        size: int32 scalar. Length of the resized line.
        start: int32 scalar. First pixel of the resized line that is needed.
        count: int. Number of pixels that are needed.

    Returns:
        Tensors `(count, 4)`: int32 indices, and float32 weights that sum to 1.
    """
    step = tf.cast(source, tf.float64) / tf.cast(size, tf.float64)
    places = (tf.cast(start + tf.range(count), tf.float64) + 0.5) * step - 0.5
    first = tf.floor(places)
    # The parameter of OpenCV's cubic.
    x, a = places - first, -0.75
    outer = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    other = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1
    weights = tf.stack([outer, inner, other, 1 - outer - inner - other], -1)
    indices = tf.cast(first, tf.int32)[:, tf.newaxis] + tf.range(-1, 3)
    # Beyond the border, the last pixel is repeated.
    indices = tf.clip_by_value(indices, 0, source - 1)
    return indices, tf.cast(weights, tf.float32)


def resample(image, rows, columns):
    """Computes weighted sums of pixels, rounded like by OpenCV for uint8.

    Args:
        image: tensor `(height, width, channels)` in `[0, 255]`.
        rows: pair of tensors. See `cubic_taps`.
        columns: pair of tensors. See `cubic_taps`.

    Returns:
        float32 tensor of whole numbers in `[0, 255]`.
    """
    which, weights = rows
    lines = tf.gather(tf.cast(image, tf.float32), which)
    lines = tf.reduce_sum(lines * weights[:, :, tf.newaxis, tf.newaxis], 1)
    which, weights = columns
    pixels = tf.gather(lines, which, axis=1) * weights[:, :, tf.newaxis]
    return _clipped(tf.round(tf.reduce_sum(pixels, 2)))


def _clipped(image):
    """Clips to `[0, 255]` in one pass; `tf.clip_by_value` makes two."""
    return tf.raw_ops.ClipByValue(
        t=image, clip_value_min=0.0, clip_value_max=255.0
    )
