"""The traced loop that attacks are written with, and choices within a batch."""

import tensorflow as tf


def repeat(step, state, steps, until=None):
    """`step(i, state)` applied `steps` times, traced once.

    Args:
        step: callable from `(index, state)` to the next state.
        state: tensor, or nested structure of tensors.
        steps: int. The number of times.
        until: callable from a state to whether to stop there.
            Defaults to never.
    """

    def goes_on(i, state):
        return i < steps if until is None else (i < steps) & ~until(state)

    return tf.while_loop(
        goes_on,
        lambda i, state: (i + 1, step(i, state)),
        (tf.constant(0), state),
        parallel_iterations=1,
        maximum_iterations=steps,
    )[1]


def worst_of(attempt, attempts, images, broken):
    """The best adversarial image of several attempts, for each image.

    An image counts as broken from its first success on: what is returned for
    it does not depend on the other images of the batch, though the attempts
    end when all are broken.

    Args:
        attempt: callable from `(index, broken)` to images, whether each
            succeeds `(batch,)`, and how good it is, `(batch,)`.
        attempts: int >= 1. How many there are.
        images: float tensor. The clean images.
        broken: bool tensor `(batch,)`. The images not to be attacked.

    Returns:
        Tensor like `images`: the first success, else the best one, else, where
        `broken` was true, the clean image.
    """

    def step(i, state):
        best, broken, best_value = state
        new, success, value = attempt(i, broken)
        better = ~broken & (success | (value > best_value))
        return (
            where(better, new, best),
            broken | success,
            tf.where(better, value, best_value),
        )

    state = images, broken, tf.fill(tf.shape(broken), -float("inf"))
    if attempts == 1:
        return step(0, state)[0]
    return repeat(step, state, attempts, until=lambda s: tf.reduce_all(s[1]))[0]


def where(condition, x, y):
    """`x` for the examples where `condition` `(batch,)` is true, else `y`."""
    return tf.where(per_image(condition, x), x, y)


def per_image(values, images):
    """`values` `(batch,)` with dimensions of 1 added, to go with `images`."""
    return tf.reshape(values, [-1] + [1] * (images.shape.rank - 1))
