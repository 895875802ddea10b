"""From images of any size to those that a model is evaluated on.

Like the official evaluation: a centred window that leaves out a margin, then
one resize. Training pipelines, evaluation and servers share this file, so that
all of them see the same pixels.
"""

import dataclasses

import tensorflow as tf

from keras_sat import checks
from keras_sat.preprocessing.decoding import crop
from keras_sat.preprocessing.decoding import decode
from keras_sat.preprocessing.decoding import decode_window
from keras_sat.preprocessing.decoding import to_gray
from keras_sat.preprocessing.resizing import RESIZINGS
from keras_sat.preprocessing.resizing import cubic_taps
from keras_sat.preprocessing.resizing import resample
from keras_sat.preprocessing.resizing import resize
from keras_sat.preprocessing.resizing import to_uint8

# Pixels of the resized image that the evaluation on ImageNet cuts off, both
# sides together: the official programs call it CROP_PADDING.
CROP_PADDING = 32
# What is cut off of a picture whose proportions are not those of the images.
CROPS = ("margin", "centre", "none")
# The numbers of channels that images may have: gray or RGB.
CHANNELS = (1, 3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """How pictures of any size become the images that a model is evaluated on.

    Args:
        crop: str. `"margin"` keeps the largest centred window of the right
            proportions, without a margin of `crop_padding`. `"centre"` keeps
            all of that window. `"none"` keeps the whole picture, and squeezes
            it into other proportions. Defaults to `"margin"`, as in the
            official evaluation on ImageNet.
        crop_padding: int >= 0. Pixels of the result that are cut off as a
            margin, both sides together. Defaults to `32`.
        resizing: str. See `evaluation_image`. Defaults to `"tf1_bicubic"`.

    Raises:
        TypeError: If `crop_padding` is not an integer.
        ValueError: If an argument has a value that is not listed here.
    """

    crop: str = "margin"
    crop_padding: int = CROP_PADDING
    resizing: str = "tf1_bicubic"

    def __post_init__(self):
        checks.one_of("crop", self.crop, CROPS)
        checks.integer("crop_padding", self.crop_padding, least=0)
        checks.one_of("resizing", self.resizing, RESIZINGS)

    def image(self, contents, height, width, channels=3):
        """Decodes a picture, and returns the image that is seen of it.

        Args:
            contents: scalar string tensor: see `decode`.
            height: int >= 1. Height of the result.
            width: int >= 1. Width of the result.
            channels: int. 1 for gray, 3 for RGB. Defaults to `3`.

        Returns:
            uint8 tensor `(height, width, channels)`.
        """
        if self.crop == "none":
            image = RESIZINGS[self.resizing](decode(contents), height, width)
            image = to_uint8(image)
        else:
            padding = self.crop_padding if self.crop == "margin" else 0
            image = evaluation_image(
                contents, height, width, self.resizing, padding
            )
        return image if channels == 3 else to_gray(image)

    def settings(self):
        """Returns the options with an effect, as `data.image_folder` has them.

        Returns:
            dict that JSON can hold.
        """
        settings = dataclasses.asdict(self)
        if self.crop != "margin":
            del settings["crop_padding"]
        return settings


def center_window(shape, height, width, padding=CROP_PADDING):
    """Returns the window that the evaluation cuts out of an image.

    It is the largest centred window of the proportions `height : width`, times
    `size / (size + padding)`, where `size` is the smaller of the two. In pixels
    of the resized image, this leaves out a margin of `padding / 2` on each
    side.

    Args:
        shape: int32 tensor that begins with the height and the width of the
            image.
        height: int >= 1. Height of the image to make.
        width: int >= 1. Width of the image to make.
        padding: int >= 0. `0` keeps the whole of a square image. Defaults to
            `32`.

    Returns:
        int32 tensor: top, left, height and width.
    """
    whole = tf.cast(shape[:2], tf.float32)
    size = min(height, width)
    fraction = size / (size + padding)
    high = fraction * tf.minimum(whole[0], whole[1] * (height / width))
    wide = fraction * tf.minimum(whole[1], whole[0] * (width / height))
    # An image of one pixel would otherwise have an empty window.
    window = tf.maximum(tf.cast(tf.stack([high, wide]), tf.int32), 1)
    start = (shape[:2] - window + 1) // 2
    return tf.concat([start, window], 0)


def center_crop(image, height, width, padding=CROP_PADDING):
    """Cuts the centre out of a decoded image, to be resized afterwards.

    Args:
        image: tensor `(any, any, channels)`.
        height: int >= 1. See `center_window`.
        width: int >= 1. See `center_window`.
        padding: int >= 0. See `center_window`.

    Returns:
        The part of `image` inside `center_window`.
    """
    return crop(image, center_window(tf.shape(image), height, width, padding))


def decode_center(contents, height, width, padding=CROP_PADDING):
    """Decodes the centre of an encoded image; see `decode_window`.

    Args:
        contents: scalar string tensor: see `decode`.
        height: int >= 1. See `center_window`.
        width: int >= 1. See `center_window`.
        padding: int >= 0. See `center_window`.

    Returns:
        uint8 tensor `(any, any, 3)`, RGB.
    """

    def centred(shape):
        return center_window(shape, height, width, padding)

    return decode_window(contents, centred)


def evaluation_image(
    contents, height, width, resizing="tf1_bicubic", padding=CROP_PADDING
):
    """Decodes, crops and resizes an image for the evaluation of a model.

    Args:
        contents: scalar string tensor: see `decode`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.
        resizing: str. `"tf1_bicubic"` is the official EfficientNet evaluation.
            `"bicubic"` is the same with the kernel of `tf.image.resize`.
            `"cv2_bicubic"` is the official ResNet evaluation, which resizes
            first and crops afterwards; colors are RGB, while released ResNets
            were trained on BGR. Defaults to `"tf1_bicubic"`.
        padding: int >= 0. Pixels of the result that are cut off as a margin,
            both sides together. Defaults to `32`.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB.
    """
    if resizing == "cv2_bicubic":
        image = decode(contents)
        image = resize_and_center_crop(image, height, width, padding)
        return to_uint8(image)
    image = decode_center(contents, height, width, padding)
    return to_uint8(RESIZINGS[resizing](image, height, width))


def resize_and_center_crop(image, height, width, padding=CROP_PADDING):
    """Resizes and crops a decoded image like the official ResNet evaluation.

    The image is resized like by OpenCV, so that a window of `height + padding`
    by `width + padding` just fits into it. The centre of it is kept.

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
    # `scale` is rounded, so `scale * whole` alone could miss the shorter side
    # by a pixel.
    sizes = tf.cast(tf.floor(tf.maximum(scale * whole, least) + 0.5), tf.int32)
    starts = (sizes - tf.constant([height, width])) // 2
    # Only the lines of the window are computed.
    rows = cubic_taps(shape[0], sizes[0], starts[0], height)
    columns = cubic_taps(shape[1], sizes[1], starts[1], width)
    return resample(image, rows, columns)


def center_crop_and_resize(image, height, width, padding=CROP_PADDING):
    """Crops and resizes a decoded image like the EfficientNet evaluation.

    Args:
        image: tensor `(any, any, channels)` in `[0, 255]`.
        height: int >= 1. Height of the result.
        width: int >= 1. Width of the result.
        padding: int >= 0. Pixels of the result that are cut off as a margin,
            both sides together. Defaults to `32`.

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
