"""The perturbations that the square attack tries, for each norm.

Reference:
- [Andriushchenko et al., 2020](https://arxiv.org/abs/1912.00049): algorithms 2
  (L-infinity) and 3 (L2)
"""

import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import uniform


class LinfSquares:
    """Stripes and squares of the largest change of pixels, for `Square`.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        areas: sequence of floats. Areas of squares, as shares of the image.
    """

    def __init__(self, images, areas):
        self.height, self.width, self.channels = images.shape[1:]
        self.sides = [self.side(area) for area in areas]

    def side(self, area):
        """Returns the side, in pixels, of a square.

        Args:
            area: float. The area, as a share of the image.
        """
        side = round(math.sqrt(area * self.height * self.width))
        return min(max(side, 1), self.height, self.width)

    def start(self, images, radius, seed):
        """Returns random perturbations: vertical stripes.

        Args:
            images: float tensor. What the perturbations are for.
            radius: float. Size of the perturbations.
            seed: int tensor `(2,)` or `(batch, 2)`; see `seeds`.
        """
        stripes = radius * _random_signs(images[:, :1], seed)
        return tf.broadcast_to(stripes, tf.shape(images))

    def num_draws(self):
        """Returns how many random numbers a change takes, an int."""
        return 2 + self.channels

    def change(self, delta, radius, level, numbers):
        """Returns perturbations that differ from the given ones in a square.

        Args:
            delta: float tensor. The present perturbations.
            radius: float. Size of the perturbations.
            level: int tensor `(batch,)`. Indices into the areas.
            numbers: float tensor `(batch, num_draws)`, random in `[0, 1)`.
        """
        inside = _inside(*self._window(numbers[:, :2], level))
        colour = tf.where(numbers[:, 2:] < 0.5, -radius, radius)
        return tf.where(inside, colour[:, tf.newaxis, tf.newaxis], delta)

    def _window(self, position, level):
        """Returns the rows and columns of each image, numbered in a square.

        The rows and columns of the square have numbers from 0, all others -1.

        Args:
            position: float tensor `(batch, 2)` in `[0, 1)`. Where the squares
                lie.
            level: int tensor `(batch,)`. Indices into the areas.

        Returns:
            int tensors `(batch, height)` and `(batch, width)`.
        """
        side = tf.gather(tf.constant(self.sides), level)[:, tf.newaxis]

        def numbered(share, size):
            places = tf.cast(size - side + 1, tf.float32)
            first = tf.cast(share[:, tf.newaxis] * places, tf.int32)
            numbers = tf.range(size) - first
            return tf.where((numbers >= 0) & (numbers < side), numbers, -1)

        rows = numbered(position[:, 0], self.height)
        return rows, numbered(position[:, 1], self.width)


class L2Squares(LinfSquares):
    """Pairs of pyramids, one up and one down, for `Square`.

    The change in one square is paid for by that in another, so that the norm of
    the perturbation stays the same.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        areas: sequence of floats. Areas of squares, as shares of the image.
    """

    def __init__(self, images, areas):
        super().__init__(images, areas)
        # All of one size, so that a compiled loop can choose between them. The
        # last row and column are 0: pixels outside of the square get these.
        shape = (len(areas), max(self.sides) + 1, max(self.sides) + 1)
        self.patterns = np.zeros(shape, "float32")
        for pattern, side in zip(self.patterns, self.sides, strict=True):
            pattern[:side, :side] = _pyramids(side)

    def side(self, area):
        """See `LinfSquares.side`; odd, and 3 pixels or more."""
        side = max(round(math.sqrt(area * self.height * self.width)), 3)
        return min(side + (side % 2 == 0), self.height, self.width)

    def start(self, images, radius, seed):
        """See `LinfSquares.start`: a grid of pyramids, turned at random."""
        side = max(min(self.height, self.width) // 5, 1)
        grid = self.height // side, self.width // side
        pattern = np.tile(_pyramids(side), grid)
        turned = np.tile(_pyramids(side).T, grid)
        places = images[:, : grid[0], : grid[1]]
        signs = _random_signs(places, seed)
        turn = _random_signs(places[..., :1], fold_in(seed, 1)) > 0

        def enlarge(x, axis):
            return tf.repeat(tf.repeat(x, side, axis), side, axis + 1)

        delta = tf.where(
            enlarge(turn, 1), turned[..., np.newaxis], pattern[..., np.newaxis]
        )
        delta *= enlarge(signs, 1)
        # What the grid leaves over is a margin of zeros on all sides.
        rest = self.height - delta.shape[1], self.width - delta.shape[2]
        margins = [(n // 2, n - n // 2) for n in rest]
        return _of_size(tf.pad(delta, [(0, 0), *margins, (0, 0)]), radius)

    def num_draws(self):
        """See `LinfSquares.num_draws`."""
        return 5 + self.channels

    def change(self, delta, radius, level, numbers):
        """See `LinfSquares.change`: a square gets the energy of another one."""
        window = self._window(numbers[:, :2], level)
        inside = _inside(*window)
        emptied = _inside(*self._window(numbers[:, 2:4], level))
        pattern = self._pattern(window, level, numbers[:, 4])
        signs = tf.where(numbers[:, 5:] < 0.5, -1.0, 1.0)
        pattern = signs[:, tf.newaxis, tf.newaxis] * pattern

        # Old content and pattern count alike, whatever the size of the old one.
        old = tf.where(inside, delta, 0.0)
        new = _normalized(_normalized(old) + pattern)
        new *= tf.sqrt(self._budget(delta, inside | emptied, radius))
        delta = tf.where(emptied, 0.0, delta)
        return _of_size(tf.where(inside, new, delta), radius)

    def _pattern(self, window, level, number):
        """Returns the pyramids in their places, `(batch, height, width, 1)`.

        Args:
            window: the rows and columns that `_window` returned.
            level: int tensor `(batch,)`. Indices into the areas.
            number: float tensor `(batch,)` in `[0, 1)`. Below 0.5, the pyramids
                lie beside each other, else one above the other.
        """
        last = self.patterns.shape[1] - 1
        rows, columns = (tf.where(n < 0, last, n) for n in window)
        pattern = tf.gather(tf.constant(self.patterns), level)
        turned = tf.transpose(pattern, [0, 2, 1])
        pattern = where(number < 0.5, turned, pattern)
        pattern = tf.gather(pattern, rows, batch_dims=1)
        pattern = tf.gather(pattern, columns, axis=2, batch_dims=1)
        return pattern[..., tf.newaxis]

    def _budget(self, delta, squares, radius):
        """Returns the energy that a square may have in each channel.

        It is that of both squares, and of what is missing to the radius because
        the images were clipped to their range.
        """
        used = tf.reduce_sum(_energy(delta), -1, keepdims=True)
        unused = tf.maximum(radius**2 - used, 0.0)
        return unused / self.channels + _energy(tf.where(squares, delta, 0.0))


def _pyramids(side):
    """Returns a square `(side, side)` of norm 1: half a pyramid, half a pit."""

    def pyramid(height, width):
        if not height:
            return np.zeros((0, width))
        rows = np.abs(np.arange(height) - height // 2)
        columns = np.abs(np.arange(width) - width // 2)
        distance = np.maximum.outer(rows, columns)
        weights = 1 / np.arange(1, max(height, width) // 2 + 2) ** 2
        heights = np.cumsum(weights[::-1])[::-1][distance]
        return heights / np.linalg.norm(heights)

    upper, lower = pyramid(side // 2, side), pyramid(side - side // 2, side)
    pattern = np.concatenate([upper, -lower])
    return (pattern / np.linalg.norm(pattern)).astype("float32")


def _inside(rows, columns):
    """Returns which pixels lie in a square; see `LinfSquares._window`."""
    rows, columns = rows[:, :, tf.newaxis], columns[:, tf.newaxis]
    return ((rows >= 0) & (columns >= 0))[..., tf.newaxis]


def _energy(x):
    """Returns the sum of squares of each channel, `(batch, 1, 1, channels)`."""
    return tf.reduce_sum(tf.square(x), [1, 2], keepdims=True)


def _normalized(x):
    """Returns `x` scaled to an energy of 1 in each channel; 0 where it is 0."""
    return tf.math.divide_no_nan(x, tf.sqrt(_energy(x)))


def _of_size(delta, radius):
    """Returns perturbations scaled to the norm `radius`."""
    squares = tf.reduce_sum(tf.square(delta), [1, 2, 3], keepdims=True)
    return delta * tf.math.divide_no_nan(radius, tf.sqrt(squares))


def _random_signs(images, seed):
    """Returns a tensor like `images` whose elements are -1 or 1."""
    return tf.where(uniform(images, seed) < 0.5, -1.0, 1.0)
