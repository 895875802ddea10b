"""The loop that attacks are written with, and choices for each image."""

import tensorflow as tf


def repeat(step, state, steps, until=None):
    """Applies `step(index, state)` several times, and returns the last state.

    The step is traced once, whatever `steps` is: a Python loop would put the
    network into the graph once for each step.

    Args:
        step: callable from `(index, state)` to the next state.
        state: tensor, or nested structure of tensors.
        steps: int. How many times the step is applied.
        until: callable from a state to a bool tensor `()`. True ends the loop.
            Defaults to never.

    Returns:
        The last state, of the structure of `state`.
    """

    def goes_on(i, state):
        return i < steps if until is None else (i < steps) & ~until(state)

    return tf.while_loop(
        goes_on,
        lambda i, state: (i + 1, step(i, state)),
        (tf.constant(0), state),
        # Each step needs the one before. More would only take memory.
        parallel_iterations=1,
        # XLA has to know a bound, should a gradient go through the loop.
        maximum_iterations=steps,
    )[1]


def where(condition, x, y):
    """Returns `x` for the images where a condition is true, else `y`.

    Args:
        condition: bool tensor `(batch,)`.
        x, y: tensors `(batch, ...)` of one shape.
    """
    # `tf.where` broadcasts the condition, which takes several times as long as
    # to copy whole images.
    return tf.raw_ops.Select(condition=condition, x=x, y=y)


def per_image(values, images):
    """Returns values `(batch,)` with dimensions of 1 added for the pixels.

    Args:
        values: tensor `(batch,)`.
        images: tensor `(batch, ...)`. What the values are to be broadcast to.
    """
    return tf.reshape(values, [-1] + [1] * (images.shape.rank - 1))
