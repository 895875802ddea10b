"""Seeds of the random numbers of attacks, and the numbers drawn from them.

Attacks use stateless operations only, which give the same numbers for the same
seed. XLA ignores the seeds of stateful ones.

Everywhere in this file a seed is either one for a whole batch, `(2,)`, or one
for each image, `(batch, 2)`. With seeds of their own, the numbers of an image
do not depend on the other images of the batch.
"""

import tensorflow as tf


def fold_in(seed, number):
    """Returns a new seed for a number, independent of the old seed.

    Args:
        seed: int32 tensor `(2,)` or `(batch, 2)`.
        number: int, or int tensor `()`: the number of an attempt or a batch.
            With a seed for each image, also `(batch,)`.
    """
    seed = tf.convert_to_tensor(seed)
    fold = tf.random.experimental.stateless_fold_in
    if seed.shape.rank == 1:
        return fold(seed, number)
    numbers = tf.broadcast_to(tf.cast(number, tf.int32), tf.shape(seed)[:1])
    return tf.map_fn(
        lambda pair: fold(*pair),
        (seed, numbers),
        fn_output_signature=tf.TensorSpec((2,), tf.int32),
    )


def of_images(seed, rows):
    """Returns a seed for each image, which depends on its number alone.

    Args:
        seed: int32 tensor `(2,)`.
        rows: int32 tensor `(batch,)`. The numbers of the images.
    """
    shape = tf.stack([tf.shape(rows)[0], 2])
    return fold_in(tf.broadcast_to(seed, shape), rows)


def uniform(images, seed, low=0.0, high=1.0):
    """Returns uniformly distributed numbers for each pixel.

    Args:
        images: float tensor `(batch, ...)`. What the numbers are for.
        seed: int32 tensor `(2,)` or `(batch, 2)`.
        low, high: floats. Bounds of the numbers.
    """
    return _drawn(tf.random.stateless_uniform, images, seed, low, high)


def normal(images, seed):
    """Returns numbers from the standard normal distribution for each pixel.

    Args:
        images, seed: see `uniform`.
    """
    return _drawn(tf.random.stateless_normal, images, seed)


def _drawn(draw, images, seed, *arguments):
    """Returns `draw(shape, seed, *arguments)`, for the batch or each image."""
    seed, shape = tf.convert_to_tensor(seed), tf.shape(images)
    if seed.shape.rank == 1:
        return draw(shape, seed, *arguments)
    numbers = tf.map_fn(
        lambda one: draw(shape[1:], one, *arguments),
        seed,
        fn_output_signature=tf.float32,
    )
    return tf.reshape(numbers, shape)


def random_seed():
    """Returns a seed `(2,)` from TensorFlow's global stream.

    `keras.utils.set_random_seed` starts that stream.
    """
    return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
