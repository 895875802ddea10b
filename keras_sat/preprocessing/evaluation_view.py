"""From images of any size to those that a model is evaluated on.

As the official evaluation does it: a centred window that leaves a margin, then
one resize. Training pipelines, evaluation and servers share this file, so that
all of them see the same pixels.
"""

import tensorflow as tf

from keras_sat.preprocessing.resizing import RESIZINGS
from keras_sat.preprocessing.resizing import cubic_taps
from keras_sat.preprocessing.resizing import resample
from keras_sat.preprocessing.resizing import resize
from keras_sat.preprocessing.resizing import to_uint8

PADDING = 32
FORMATS = "JPEG, PNG, WebP, GIF or BMP"


def decode(contents):
    """The whole of an encoded image.

    Gray is repeated in the three channels, alpha is left out, 16 bits are cut
    to 8, CMYK is converted; of a GIF this is the first frame.

    Args:
        contents: scalar string tensor: JPEG, PNG, WebP, GIF or BMP.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.
    """
    image = tf.io.decode_image(contents, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def has_known_format(contents):
    """Whether these are the first bytes of an image that `decode` reads.

    Args:
        contents: string tensor of any shape.

    Returns:
        bool tensor of that shape. The rest of the image may still be damaged.
    """
    first = tf.strings.substr(contents, 0, 4)
    known = [first == start for start in (b"\x89PNG", b"RIFF", b"GIF8")]
    known.append(tf.strings.substr(contents, 0, 2) == b"BM")
    known.append(tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff")
    return tf.reduce_any(tf.stack(known), axis=0)


def center_window(shape, height, width, padding=PADDING):
    """The window that the evaluation cuts out of an image.

    The largest centred window of the proportions `height : width`, times
    `size / (size + padding)`, where `size` is the smaller of the two. For the
    image that it makes, that is a margin of `padding / 2` pixels on each side.

    Args:
        shape: int32 tensor whose first two entries are the height and the
            width of the image.
        height: int >= 1. Height of the image to make.
        width: int >= 1. Width of the image to make.
        padding: int >= 0. Defaults to `32`.

    Returns:
        int32 tensor: top, left, height and width.
    """
    whole = tf.cast(shape[:2], tf.float32)
    size = min(height, width)
    fraction = size / (size + padding)
    high = fraction * tf.minimum(whole[0], whole[1] * (height / width))
    wide = fraction * tf.minimum(whole[1], whole[0] * (width / height))
    window = tf.maximum(tf.cast(tf.stack([high, wide]), tf.int32), 1)
    start = (shape[:2] - window + 1) // 2
    return tf.concat([start, window], 0)


def center_crop(image, height, width, padding=PADDING):
    """The centre of a decoded image, before it is resized.

    Args:
        image: tensor `(any, any, channels)`.
        height: int >= 1. See `center_window`.
        width: int >= 1. See `center_window`.
        padding: int >= 0. See `center_window`.

    Returns:
        The part of `image` inside `center_window`.
    """
    window = center_window(tf.shape(image), height, width, padding)
    top, left, high, wide = tf.unstack(window)
    return image[top : top + high, left : left + wide]


def decode_center(contents, height, width, padding=PADDING):
    """The centre of an encoded image; of a JPEG, no more than it is decoded.

    Args:
        contents: scalar string tensor: see `decode`.
        height: int >= 1. See `center_window`.
        width: int >= 1. See `center_window`.
        padding: int >= 0. See `center_window`.

    Returns:
        uint8 tensor `(any, any, 3)`, RGB.
    """

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(contents)
        window = center_window(shape, height, width, padding)
        return tf.io.decode_and_crop_jpeg(contents, window, channels=3)

    def of_other():
        return center_crop(decode(contents), height, width, padding)

    return tf.cond(tf.io.is_jpeg(contents), of_jpeg, of_other)


def evaluation_image(contents, height, width, resizing="tf1_bicubic"):
    """The evaluation's view of an encoded image: decoded, cut out, resized.

    Args:
        contents: scalar string tensor: see `decode`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.
        resizing: str. `"tf1_bicubic"` is the official EfficientNet evaluation,
            `"cv2_bicubic"` the official ResNet evaluation, which resizes first
            and then cuts; `"bicubic"` is the first with another kernel. The
            order of the colors is RGB, while released ResNets have seen BGR.
            Defaults to `"tf1_bicubic"`.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.
    """
    if resizing == "cv2_bicubic":
        return to_uint8(resize_and_center_crop(decode(contents), height, width))
    image = decode_center(contents, height, width)
    return to_uint8(RESIZINGS[resizing](image, height, width))


def resize_and_center_crop(image, height, width, padding=PADDING):
    """The evaluation of the official ResNet code on a decoded image.

    Resizes the image as OpenCV does, so that a window of `height + padding` by
    `width + padding` just fits into it, and keeps the centre.

    Args:
        image: tensor `(any, any, channels)` in `[0, 255]`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.
        padding: int >= 0. Defaults to `32`.

    Returns:
        float32 tensor `(height, width, channels)` of whole numbers in
        `[0, 255]`.

    Reference:
    - [The official code](https://github.com/cihangxie/SmoothAdversarialTraining)
    """
    shape = tf.shape(image)
    whole = tf.cast(shape[:2], tf.float64)
    least = tf.constant([height + padding, width + padding], tf.float64)
    scale = tf.reduce_max(least / whole)
    # One of the two is exact, whatever the rounding of `scale`.
    sizes = tf.cast(tf.floor(tf.maximum(scale * whole, least) + 0.5), tf.int32)
    starts = (sizes - tf.constant([height, width])) // 2
    rows = cubic_taps(shape[0], sizes[0], starts[0], height)
    columns = cubic_taps(shape[1], sizes[1], starts[1], width)
    return resample(image, rows, columns)


def center_crop_and_resize(image, height, width, padding=PADDING):
    """The evaluation's view of a decoded image.

    Args:
        image: tensor `(any, any, channels)` in `[0, 255]`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.
        padding: int >= 0. Margin that is cut off, in pixels of the result.
            Defaults to `32`.

    Returns:
        float32 tensor `(height, width, channels)` in `[0, 255]`.

    Example:

    ```python
    image = center_crop_and_resize(preprocessing.decode(contents), 224, 224)
    ```

    Reference:
    - [The official code](https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/preprocessing.py)
    """
    return resize(center_crop(image, height, width, padding), height, width)
