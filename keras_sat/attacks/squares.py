"""Perturbations that the square attack tries, for each norm."""

import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks.seeds import fold_in


class LinfSquares:
    """Stripes and squares of the largest perturbation, for `Square`.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        areas: sequence of floats. Areas of squares, as shares of the image.
    """

    def __init__(self, images, areas):
        self.height, self.width, self.channels = images.shape[1:]
        self.sides = [self.side(area) for area in areas]

    def side(self, area):
        """The side, in pixels, of a square of some area."""
        side = round(math.sqrt(area * self.height * self.width))
        return min(max(side, 1), self.height, self.width)

    def start(self, images, radius, seed):
        """Random perturbations: vertical stripes.

        Args:
            images: float tensor. What the perturbations are for.
            radius: float. Size of the perturbations.
            seed: int tensor `(2,)`.
        """
        shape = [tf.shape(images)[0], 1, self.width, self.channels]
        stripes = radius * _random_signs(shape, seed)
        return tf.broadcast_to(stripes, tf.shape(images))

    def change(self, delta, radius, level, seed):
        """Perturbations that differ from `delta` in a square.

        Args:
            delta: float tensor. The present perturbations.
            radius: float. Size of the perturbations.
            level: int tensor. Index into the areas.
            seed: int tensor `(2,)`.
        """
        numbers = tf.random.stateless_uniform([2 + self.channels], seed)
        rows, columns = self._window(numbers[:2], level)
        inside = ((rows >= 0) & (columns >= 0))[..., tf.newaxis]
        colour = tf.where(numbers[2:] < 0.5, -radius, radius)
        return tf.where(inside, colour, delta)

    def _window(self, position, level):
        """Places in a square at a random position: `(height, 1)`, `(width,)`.

        Rows and columns of the image are numbered from the first one of the
        square on, with -1 for those outside.
        """
        side = tf.gather(tf.constant(self.sides), level)

        def numbered(share, size):
            places = tf.cast(size - side + 1, tf.float32)
            first = tf.cast(share * places, tf.int32)
            numbers = tf.range(size) - first
            return tf.where((numbers >= 0) & (numbers < side), numbers, -1)

        rows = numbered(position[0], self.height)[:, tf.newaxis]
        return rows, numbered(position[1], self.width)


class L2Squares(LinfSquares):
    """Pairs of pyramids, one up and one down, for `Square`.

    Args:
        images: float tensor `(batch, height, width, channels)`.
        areas: sequence of floats. Areas of squares, as shares of the image.
    """

    def __init__(self, images, areas):
        super().__init__(images, areas)
        # With zeros as the last row and column: those of number -1.
        shape = (len(areas), max(self.sides) + 1, max(self.sides) + 1)
        self.patterns = np.zeros(shape, "float32")
        for pattern, side in zip(self.patterns, self.sides, strict=True):
            pattern[:side, :side] = _pyramids(side)

    def side(self, area):
        """See `LinfSquares.side`; odd, and 3 pixels or more."""
        side = max(round(math.sqrt(area * self.height * self.width)), 3)
        return min(side + (side % 2 == 0), self.height, self.width)

    def start(self, images, radius, seed):
        """See `LinfSquares.start`: a grid of pyramids."""
        side = max(min(self.height, self.width) // 5, 1)
        grid = self.height // side, self.width // side
        pattern = np.tile(_pyramids(side), grid)
        turned = np.tile(_pyramids(side).T, grid)
        shape = [tf.shape(images)[0], *grid, self.channels]
        signs = _random_signs(shape, seed)
        turn = _random_signs([*grid, 1], fold_in(seed, 1)) > 0

        def enlarge(x, axis):
            return tf.repeat(tf.repeat(x, side, axis), side, axis + 1)

        delta = tf.where(
            enlarge(turn, 0), turned[..., np.newaxis], pattern[..., np.newaxis]
        )
        delta *= enlarge(signs, 1)
        rest = self.height - delta.shape[1], self.width - delta.shape[2]
        margins = [(n // 2, n - n // 2) for n in rest]
        return self._scale(tf.pad(delta, [(0, 0), *margins, (0, 0)]), radius)

    def change(self, delta, radius, level, seed):
        """See `LinfSquares.change`; the size comes from a second square."""
        numbers = tf.random.stateless_uniform([5], seed)
        rows, columns = self._window(numbers[:2], level)
        inside = ((rows >= 0) & (columns >= 0))[..., tf.newaxis]
        rows2, columns2 = self._window(numbers[2:4], level)
        inside2 = ((rows2 >= 0) & (columns2 >= 0))[..., tf.newaxis]

        pattern = tf.gather(tf.constant(self.patterns), level)
        last = pattern.shape[0] - 1
        rows = tf.where(rows < 0, last, rows)[:, 0]
        columns = tf.where(columns < 0, last, columns)
        pattern = tf.where(numbers[4] < 0.5, tf.transpose(pattern), pattern)
        pattern = tf.gather(tf.gather(pattern, rows), columns, axis=1)
        shape = [tf.shape(delta)[0], 1, 1, self.channels]
        signs = _random_signs(shape, fold_in(seed, 1))

        def energy(x):
            return tf.reduce_sum(tf.square(x), [1, 2], keepdims=True)

        old = tf.where(inside, delta, 0.0)
        new = tf.math.divide_no_nan(old, tf.sqrt(energy(old)))
        new += signs * pattern[..., tf.newaxis]
        unused = radius**2 - tf.reduce_sum(energy(delta), -1, keepdims=True)
        budget = tf.maximum(unused, 0.0) / self.channels
        budget += energy(tf.where(inside | inside2, delta, 0.0))
        new = tf.math.divide_no_nan(new, tf.sqrt(energy(new)))
        delta = tf.where(inside2, 0.0, delta)
        delta = tf.where(inside, new * tf.sqrt(budget), delta)
        return self._scale(delta, radius)

    def _scale(self, delta, radius):
        return delta * tf.math.divide_no_nan(radius, _size(delta))


def _pyramids(side):
    """A square `(side, side)` of norm 1: half a pyramid, half a pit."""

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


def _size(delta):
    return tf.sqrt(tf.reduce_sum(tf.square(delta), [1, 2, 3], keepdims=True))


def _random_signs(shape, seed):
    return tf.where(tf.random.stateless_uniform(shape, seed) < 0.5, -1.0, 1.0)
