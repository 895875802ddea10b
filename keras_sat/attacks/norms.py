"""Norms: all that attacks have to know of the geometry of perturbations."""

import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import seeds
from keras_sat.attacks.squares import L2Squares
from keras_sat.attacks.squares import LinfSquares


def _axes(images):
    """Returns all axes but that of the batch."""
    return list(range(1, len(images.shape)))


class Linf:
    """The largest absolute value of each perturbation."""

    # In fractions of `value_range`. The ball of this radius holds all images.
    largest_radius = 1.0

    def size(self, delta):
        """Returns the norm of each perturbation, `(batch, 1, ...)`."""
        return tf.reduce_max(tf.abs(delta), _axes(delta), keepdims=True)

    def random(self, images, radius, seed):
        """Returns perturbations drawn uniformly from the ball.

        Args:
            images: float tensor. What the perturbations are for.
            radius: float.
            seed: int32 tensor `(2,)`, or `(batch, 2)`; see `seeds`.
        """
        return seeds.uniform(images, seed, -radius, radius)

    def steepest_ascent(self, gradient):
        """Returns the direction of size 1 of the steepest ascent.

        Args:
            gradient: float tensor. The gradient of the function; where it is 0,
                so is the direction.
        """
        return tf.sign(gradient)

    def project(self, delta, radius):
        """Returns the nearest perturbations in the ball of a radius."""
        return tf.clip_by_value(delta, -radius, radius)

    def squares(self, images, areas):
        """Returns the perturbations that `Square` tries.

        Args:
            images: float tensor `(batch, height, width, channels)`.
            areas: sequence of floats. Areas, as shares of the image.
        """
        return LinfSquares(images, areas)

    def __repr__(self):
        return "linf"


class L2:
    """The Euclidean norm of each perturbation."""

    largest_radius = float("inf")

    def size(self, delta):
        """Returns the norm of each perturbation, `(batch, 1, ...)`."""
        squares = tf.reduce_sum(tf.square(delta), _axes(delta), keepdims=True)
        return tf.sqrt(squares)

    def random(self, images, radius, seed):
        """Returns perturbations drawn uniformly from the ball.

        Args:
            images: float tensor. What the perturbations are for.
            radius: float.
            seed: int32 tensor `(2,)`, or `(batch, 2)`; see `seeds`.
        """
        direction = self.steepest_ascent(seeds.normal(images, seed))
        dimension = tf.cast(tf.reduce_prod(tf.shape(images)[1:]), images.dtype)
        # A radius distributed as u^(1/d) makes points uniform in the d-ball.
        share = seeds.uniform(self.size(images), seeds.fold_in(seed, 1))
        return radius * direction * share ** (1 / dimension)

    def steepest_ascent(self, gradient):
        """Returns the direction of size 1 of the steepest ascent.

        Args:
            gradient: float tensor. The gradient of the function; where it is 0,
                so is the direction.
        """
        # The square of a tiny gradient would be 0 in float32, and its direction
        # lost. So the gradient is divided by its largest element first.
        largest = Linf().size(gradient)
        gradient = tf.math.divide_no_nan(gradient, largest)
        return tf.math.divide_no_nan(gradient, self.size(gradient))

    def project(self, delta, radius):
        """Returns the nearest perturbations in the ball of a radius."""
        size = self.size(delta)
        # A radius that grows during training may begin at 0.
        return delta * tf.math.divide_no_nan(radius, tf.maximum(size, radius))

    def squares(self, images, areas):
        """Returns the perturbations that `Square` tries.

        Args:
            images: float tensor `(batch, height, width, channels)`.
            areas: sequence of floats. Areas, as shares of the image.
        """
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

    In the L-infinity norm the ball of radius 1 holds every image, so a larger
    radius must be a mistake. In L2, images may lie further apart than 1.

    Args:
        epsilon: float.
        norm: str. `"linf"` or `"l2"`.
        allow_zero: bool. Whether 0, which stands for "no attack", is allowed.
            Defaults to `False`.

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
