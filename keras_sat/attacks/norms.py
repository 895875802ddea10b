"""Norms: the only place that knows the geometry of a perturbation."""

import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.squares import L2Squares
from keras_sat.attacks.squares import LinfSquares


def _axes(images):
    return list(range(1, len(images.shape)))


class Linf:
    """Largest absolute value of each example, over all pixels and channels."""

    largest_radius = 1.0

    def size(self, delta):
        """Norm of each example, with the other dimensions kept as 1."""
        return tf.reduce_max(tf.abs(delta), _axes(delta), keepdims=True)

    def random(self, images, radius, seed):
        """Perturbations drawn uniformly from the ball."""
        return tf.random.stateless_uniform(
            tf.shape(images), seed, -radius, radius
        )

    def steepest_ascent(self, gradient):
        """The direction of size 1 along which a linear function rises most."""
        return tf.sign(gradient)

    def project(self, delta, radius):
        """The nearest perturbation in the ball."""
        return tf.clip_by_value(delta, -radius, radius)

    def squares(self, images, areas):
        """The perturbations that the square attack tries."""
        return LinfSquares(images, areas)

    def __repr__(self):
        return "linf"


class L2:
    """Euclidean norm of each example, over all pixels and channels."""

    largest_radius = float("inf")

    def size(self, delta):
        """Norm of each example, with the other dimensions kept as 1."""
        squares = tf.reduce_sum(tf.square(delta), _axes(delta), keepdims=True)
        return tf.sqrt(squares)

    def random(self, images, radius, seed):
        """Perturbations drawn uniformly from the ball."""
        shape = tf.shape(images)
        normal = tf.random.stateless_normal(shape, seed)
        direction = self.steepest_ascent(normal)
        dimension = tf.cast(tf.reduce_prod(shape[1:]), images.dtype)
        # A radius distributed as u^(1/d) makes points uniform in the d-ball.
        seed = tf.random.experimental.stateless_fold_in(seed, 1)
        share = tf.random.stateless_uniform(tf.shape(self.size(images)), seed)
        return radius * direction * share ** (1 / dimension)

    def steepest_ascent(self, gradient):
        """The direction of size 1 along which a linear function rises most."""
        # Divided by its largest element first, a tiny gradient keeps its
        # direction instead of vanishing when it is squared.
        largest = Linf().size(gradient)
        gradient = tf.math.divide_no_nan(gradient, largest)
        return tf.math.divide_no_nan(gradient, self.size(gradient))

    def project(self, delta, radius):
        """The nearest perturbation in the ball."""
        size = self.size(delta)
        return delta * tf.math.divide_no_nan(radius, tf.maximum(size, radius))

    def squares(self, images, areas):
        """The perturbations that the square attack tries."""
        return L2Squares(images, areas)

    def __repr__(self):
        return "l2"


NORMS = {"linf": Linf(), "l2": L2()}


def get(norm):
    """Returns the norm object of a name.

    Args:
        norm: str. `"linf"` or `"l2"`.

    Raises:
        ValueError: If `norm` is unknown.
    """
    return checks.lookup("norm", norm, NORMS)


def check_radius(epsilon, norm, allow_zero=False):
    """Checks that `epsilon` is a radius, as a fraction of `value_range`.

    In the L-infinity norm the ball of radius 1 holds every image: a larger one
    means a mistake. In the others, images may lie further apart than 1.

    Args:
        epsilon: float.
        norm: str. `"linf"` or `"l2"`.
        allow_zero: bool. Whether 0, no attack, is a radius. Defaults to
            `False`.

    Raises:
        TypeError: If `epsilon` is no number.
        ValueError: If it is out of range, or `norm` unknown.
    """
    largest = get(norm).largest_radius
    if allow_zero:
        checks.real("epsilon", epsilon, least=0)
    else:
        checks.real("epsilon", epsilon, above=0)
    if epsilon > largest:
        checks.refuse(
            "epsilon",
            f"be at most {largest:g}, the whole of `value_range`, for "
            f"norm={norm!r}",
            epsilon,
            f"Did you mean {epsilon:g} / 255?",
        )
