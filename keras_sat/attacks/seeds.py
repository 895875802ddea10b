"""Random numbers of attacks, which are the same for the same seed."""

import tensorflow as tf


def fold_in(seed, number):
    """A new seed, independent of `seed`, for each int `number`."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def random_seed():
    """A seed from the stream that `keras.utils.set_random_seed` starts."""
    return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
