"""Random parts of encoded images, to train on."""

import tensorflow as tf

from keras_sat import preprocessing
from keras_sat.preprocessing import decoding

# Share of the image, and width by height, of the official training code.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
# Windows that are drawn until one fits into the image.
MAX_ATTEMPTS = 10


def random_window(shape, seed, area=CROP_AREA, ratio=CROP_RATIO):
    """Draws a random window of an image like the official training code.

    If none of 10 windows fits into the image, the whole image is taken.

    Args:
        shape: int32 tensor: height, width and channels of the image.
        seed: int tensor `(2,)`.
        area: pair of floats in `(0, 1]`. Smallest and largest share of the
            image. Defaults to `(0.08, 1.0)`.
        ratio: pair of floats > 0. Smallest and largest ratio of the width to
            the height. Defaults to `(3 / 4, 4 / 3)`.

    Returns:
        int32 tensor: top, left, height and width.

    Reference:
    - [The official code](https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/preprocessing.py)
    """
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.zeros([1, 0, 4]),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=ratio,
        area_range=area,
        max_attempts=MAX_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], 0)


def decode_random_window(contents, seed, area=CROP_AREA, ratio=CROP_RATIO):
    """Decodes a random window of an image. See `decoding.decode_window`.

    Args:
        contents: scalar string tensor: see `preprocessing.decode`.
        seed: int tensor `(2,)`.
        area: pair of floats: see `random_window`.
        ratio: pair of floats: see `random_window`.

    Returns:
        uint8 tensor `(any, any, 3)`, RGB.
    """

    def drawn(shape):
        return random_window(shape, seed, area, ratio)

    return decoding.decode_window(contents, drawn)


def decode_shifted(contents, seed, padding):
    """Decodes an image and shifts it at random; what moves in is black.

    Args:
        contents: scalar string tensor: see `preprocessing.decode`.
        seed: int tensor `(2,)`.
        padding: int >= 1. The largest shift in each direction, in pixels.

    Returns:
        uint8 tensor `(height, width, 3)`, RGB, of the size of the image.
    """
    image = preprocessing.decode(contents)
    padded = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
    return tf.image.stateless_random_crop(padded, tf.shape(image), seed)
