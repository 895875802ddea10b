"""The smallest changes that lead to a hyperplane inside a range."""

import math

import tensorflow as tf

from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat


def to_hyperplane(ball, points, gradient, value, value_range):
    """Returns the smallest changes that make linear functions zero.

    Every pixel moves along the steepest ascent (or descent) until it meets the
    border of the range: its change after a time is the smaller of the time
    times its speed and the room that it has. The function is concave in the
    time and consists of straight pieces. So Newton's method from 0 ascends to
    the root, and ends exactly once it has found the piece of the root.

    Args:
        ball: the norm in which the changes are the smallest; see `norms`.
        points: float tensor `(batch, ...)` in `value_range`.
        gradient: float tensor like `points`. Gradients of the functions.
        value: float tensor `(batch,)`. Values of the functions at the points.
        value_range: pair of floats.

    Returns:
        Tensor like `points`: the changes. Where no point of the range makes the
        function zero, they go as far as the range allows.

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/1907.02044): the projection
      onto a hyperplane with box constraints. The authors sort the pixels
      instead.
    """
    low, high = value_range
    flat = [-1, math.prod(points.shape[1:])]
    direction = -per_image(tf.sign(value), points) * tf.sign(gradient)
    room = tf.where(direction > 0, high - points, points - low)
    room = tf.reshape(tf.maximum(room, 0.0), flat)
    speed = tf.reshape(tf.abs(ball.steepest_ascent(gradient)), flat)
    slope = tf.reshape(tf.abs(gradient), flat) * speed
    # When each pixel meets the border of the range.
    arrival = tf.math.divide_no_nan(room, speed)
    needed = tf.abs(value)[:, tf.newaxis]
    time = _root(slope, arrival, needed)
    reachable = tf.reduce_sum(slope * arrival, axis=1, keepdims=True) >= needed
    change = tf.where(reachable, tf.minimum(time * speed, room), room)
    return direction * tf.reshape(change, tf.shape(points))


def _root(slope, arrival, needed):
    """Returns when sums of pixels that stop one by one reach given values.

    Args:
        slope: float tensor `(batch, pixels)`. What each pixel adds in a unit of
            time until it stops.
        arrival: float tensor `(batch, pixels)`. When each pixel stops.
        needed: float tensor `(batch, 1)`. The values to be reached.

    Returns:
        float tensor `(batch, 1)`: the times.
    """

    most = slope * arrival

    def newton(_, state):
        time, _ = state
        # Products with 0 and 1 are several times as fast as `tf.where`.
        moving = tf.cast(arrival > time, slope.dtype)
        rate = tf.math.multiply_no_nan(slope, moving)
        gained = tf.math.multiply_no_nan(most, 1 - moving)
        rate = tf.reduce_sum(rate, axis=1, keepdims=True)
        gained = tf.reduce_sum(gained, axis=1, keepdims=True)
        # On the last piece, where no pixel moves any more, the time stays.
        new = tf.math.divide_no_nan(needed - gained, rate)
        return tf.maximum(time, new), time

    start = tf.zeros_like(needed)
    time, _ = repeat(
        newton,
        (start, start - 1),
        # There is a piece between any two pixels that stop.
        arrival.shape[1] + 1,
        # Not "until they are equal": NaN never is, and one image with NaN would
        # hold up all the others.
        until=lambda state: ~tf.reduce_any(state[0] > state[1]),
    )
    return time
