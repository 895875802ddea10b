"""Decoding in parallel that tells which image cannot be decoded."""

import os

import tensorflow as tf
from absl import logging

from keras_sat.checks.datasets import UNDECODABLE

# Images that are decoded at a time, unless two batches are more.
AT_A_TIME = 2 * os.cpu_count()


def decode_batches(examples, decode, on_failure, batch_size, drop_remainder):
    """Decodes in parallel and in order, and finds the images that fail.

    When an operation fails, the error of a `tf.data` pipeline does not name the
    file. Here, the images of a batch are decoded in parallel, and if one of
    them fails, once more, one after the other.

    Args:
        examples: `tf.data.Dataset` of tuples `(name, ...)`.
        decode: function from such a tuple to a nest of tensors, which have the
            same shapes for all of them.
        on_failure: function from the name of an image that cannot be decoded
            to a scalar bool tensor, `False`. See `raise_error` and
            `skip_and_note`.
        batch_size: int.
        drop_remainder: bool. Whether to leave out batches that are not full:
            the last one, and those with an image that failed.

    Returns:
        `tf.data.Dataset` of batches of what `decode` returns, without the
        images that failed.
    """

    def decode_alone(*example):
        one = tf.data.Dataset.from_tensors(example)
        # Always empty. It is read only if `decode` fails, and then calls
        # `on_failure`.
        none = one.filter(lambda name, *_: on_failure(name)).map(decode)
        return one.map(decode).ignore_errors().concatenate(none).take(1)

    def decode_batch(*batch):
        count = tf.shape(batch[0])[0]

        def is_whole(*batch):
            return tf.shape(tf.nest.flatten(batch)[0])[0] == count

        each = tf.data.Dataset.from_tensor_slices(batch)
        together = each.map(decode, os.cpu_count(), deterministic=True)
        together = together.ignore_errors().batch(batch_size, drop_remainder)
        # Read only if the batch above is not whole.
        apart = each.flat_map(decode_alone).batch(batch_size, drop_remainder)
        return together.filter(is_whole).concatenate(apart).take(1)

    batches = max(2, AT_A_TIME // batch_size)
    return examples.batch(batch_size, drop_remainder).interleave(
        decode_batch,
        cycle_length=batches,
        num_parallel_calls=batches,
        deterministic=True,
    )


def raise_error(name):
    """Ends the dataset with an error that names an image.

    Args:
        name: scalar string tensor.

    Returns:
        scalar bool tensor, `False`, which the graph needs to have.
    """
    failure = tf.debugging.Assert(False, [UNDECODABLE, name])
    with tf.control_dependencies([failure]):
        return tf.constant(False)


def skip_and_note(skipped):
    """Returns a function that leaves out an image and notes its name.

    Args:
        skipped: set of str, to which the name is added.

    Returns:
        Function from the name, a scalar string tensor, to a scalar bool
        tensor, `False`.
    """

    def note(name):
        name = name.decode()
        skipped.add(name)
        logging.warning("Skipped an image that cannot be decoded: %s", name)
        return False

    def skip(name):
        return tf.ensure_shape(tf.numpy_function(note, [name], tf.bool), ())

    return skip
