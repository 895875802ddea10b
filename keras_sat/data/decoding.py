"""Random parts of encoded images, and images that cannot be decoded."""

import os

import tensorflow as tf

from keras_sat import preprocessing

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
TRIES = 10
# Images that are decoded at a time, if they do not fill two batches.
AT_A_TIME = 2 * os.cpu_count()


def random_window(shape, seed, area=AREA, ratio=RATIO):
    """A random window of an image, as the official training code draws it.

    Up to 10 tries to find one that fits into the image, then all of it.

    Args:
        shape: int32 tensor: height, width and channels of the image.
        seed: int tensor `(2,)`.
        area: pair of floats in `(0, 1]`. Share of the image.
        ratio: pair of floats > 0. Width by height.

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
        max_attempts=TRIES,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], 0)


def decode_random(contents, seed, area=AREA, ratio=RATIO):
    """A random part of an encoded image; of a JPEG, no more is decoded.

    Args:
        contents: scalar string tensor: see `preprocessing.decode`.
        seed: int tensor `(2,)`.
        area: pair of floats: see `random_window`.
        ratio: pair of floats: see `random_window`.

    Returns:
        uint8 tensor `(any, any, 3)`, RGB.
    """

    def of_jpeg():
        shape = tf.io.extract_jpeg_shape(contents)
        window = random_window(shape, seed, area, ratio)
        return tf.io.decode_and_crop_jpeg(contents, window, channels=3)

    def of_other():
        image = preprocessing.decode(contents)
        window = random_window(tf.shape(image), seed, area, ratio)
        top, left, height, width = tf.unstack(window)
        return image[top : top + height, left : left + width]

    return tf.cond(tf.io.is_jpeg(contents), of_jpeg, of_other)


def decode_shifted(contents, seed, padding):
    """A random window of an encoded image with a black border, of its size.

    Args:
        contents: scalar string tensor: see `preprocessing.decode`.
        seed: int tensor `(2,)`.
        padding: int >= 1. Width of the border in pixels.

    Returns:
        uint8 tensor `(any, any, 3)`, RGB.
    """
    image = preprocessing.decode(contents)
    padded = tf.pad(image, [[padding, padding], [padding, padding], [0, 0]])
    return tf.image.stateless_random_crop(padded, tf.shape(image), seed)


def attempted(examples, decode, on_failure, batch_size, drop_remainder):
    """Decodes in parallel, in order, and finds out which image is to blame.

    An operation that fails ends a `tf.data` pipeline without a word on the file
    that it was given. Here, the images of a batch are decoded in parallel, and
    if one of them fails, once more, one after the other.

    Args:
        examples: `tf.data.Dataset` of tuples `(name, ...)`.
        decode: function from such a tuple to a nest of tensors, which have the
            same shapes for all of them.
        on_failure: function from the name of an image that cannot be decoded
            to a scalar bool tensor, `False`.
        batch_size: int.
        drop_remainder: bool. Whether a batch that is not full is left out, be
            it the last one or one with an image that failed.

    Returns:
        `tf.data.Dataset` of batches of what `decode` returns, without the
        images that failed.
    """

    def decode_alone(*example):
        one = tf.data.Dataset.from_tensors(example)
        # Read only if `decode` fails; always empty.
        none = one.filter(lambda name, *_: on_failure(name)).map(decode)
        return one.map(decode).ignore_errors().concatenate(none).take(1)

    def decode_batch(*batch):
        count = tf.shape(batch[0])[0]

        def is_whole(*batch):
            return tf.shape(tf.nest.flatten(batch)[0])[0] == count

        each = tf.data.Dataset.from_tensor_slices(batch)
        together = each.map(decode, os.cpu_count(), deterministic=True)
        together = together.ignore_errors().batch(batch_size, drop_remainder)
        # Read only if there is no whole batch.
        apart = each.flat_map(decode_alone).batch(batch_size, drop_remainder)
        return together.filter(is_whole).concatenate(apart).take(1)

    batches = max(2, AT_A_TIME // batch_size)
    return examples.batch(batch_size, drop_remainder).interleave(
        decode_batch,
        cycle_length=batches,
        num_parallel_calls=batches,
        deterministic=True,
    )
