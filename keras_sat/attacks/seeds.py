"""Seeds of the random numbers of attacks.

Attacks use stateless operations only, which give the same numbers for the same
seed. XLA ignores the seeds of stateful ones.
"""

import tensorflow as tf


def fold_in(seed, number):
    """Returns a new seed for a number, independent of the old seed.

    Args:
        seed: int32 tensor `(2,)`.
        number: int, or int tensor `()`: the number of an attempt or a batch.
    """
    return tf.random.experimental.stateless_fold_in(seed, number)


def random_seed():
    """Returns a seed `(2,)` from TensorFlow's global stream.

    `keras.utils.set_random_seed` starts that stream.
    """
    return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
