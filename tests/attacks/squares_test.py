"""Squares against the patterns and sizes of the paper."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import norms
from keras_sat.attacks import squares
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


def pyramids(side):
    """The pattern of an L2 square, added up box by box as in the paper."""

    def pyramid(height, width):
        pattern = np.zeros((height, width))
        row, column = height // 2, width // 2
        for n in range(max(row, column) + 1):
            top, left = max(row - n, 0), max(column - n, 0)
            pattern[top : row + n + 1, left : column + n + 1] += (n + 1) ** -2.0
        return pattern / max(np.linalg.norm(pattern), 1e-12)

    parts = [pyramid(side // 2, side), -pyramid(side - side // 2, side)]
    pattern = np.concatenate(parts)
    return pattern / np.linalg.norm(pattern)


def changed_at(squares, delta, radius, level, seed):
    """A change with the same random numbers for all images."""
    count = len(delta)
    draws = tf.random.stateless_uniform([1, squares.num_draws()], seed)
    return squares.change(
        delta, radius, tf.fill([count], level), tf.repeat(draws, count, axis=0)
    )


class SquaresTest(TestCase):
    @parameterized.parameters(2, 5)
    def test_a_linf_change_is_one_square_of_the_largest_size(self, side):
        delta = tf.random.stateless_uniform((3, 7, 6, 2), SEED, -0.1, 0.1)
        squares = norms.get("linf").squares(delta, [side**2 / 42])
        self.assertEqual(squares.sides, [side])
        touched = np.zeros((7, 6), bool)
        for i in range(150):
            new = changed_at(squares, delta, 0.1, 0, (i, 0)).numpy()
            changed = np.any(new != delta, axis=(0, 3))
            rows, columns = np.nonzero(changed)
            self.assertEqual(changed.sum(), side**2)
            self.assertEqual(np.ptp(rows) + 1, side)
            self.assertEqual(np.ptp(columns) + 1, side)
            self.assertAllClose(
                np.abs(new[:, changed]), 0.1 + 0 * new[:, changed]
            )
            self.assertAllEqual(new[0][changed], new[2][changed])
            touched |= changed
        # Up to the last row and column.
        self.assertTrue(touched.all())

    def test_a_linf_start_is_made_of_vertical_stripes(self):
        images = tf.zeros((50, 5, 6, 3))
        start = (
            norms.get("linf").squares(images, [0.8]).start(images, 0.1, SEED)
        )
        self.assertAllClose(tf.abs(start), tf.fill(images.shape, 0.1))
        self.assertAllEqual(start, tf.repeat(start[:, :1], 5, axis=1))
        self.assertAllClose(tf.reduce_mean(start), 0.0, atol=0.01)
        self.assertNotAllClose(start[0], start[1])

    @parameterized.parameters(1, 2, 3, 4, 7, 10)
    def test_l2_squares_are_the_pyramids_of_the_paper(self, side):
        self.assertAllClose(squares._pyramids(side), pyramids(side))

    @parameterized.parameters(
        (8, 8, 1), (32, 30, 3), (7, 12, 2), (3, 3, 1), (1, 9, 1), (2, 5, 3)
    )
    def test_an_l2_change_has_the_size_of_the_ball(self, *shape):
        images = tf.zeros((4, *shape))
        squares = norms.get("l2").squares(images, [0.8, 0.2, 0.01])
        delta = squares.start(images, 0.5, SEED)
        size = norms.get("l2").size
        full = tf.fill((4, 1, 1, 1), 0.5)
        self.assertAllClose(size(delta), full)
        for i in range(20):
            delta = changed_at(squares, delta, 0.5, i % 3, (i, 0))
            self.assertAllClose(size(delta), full)
        # Clipped to the range, it grows back to the full size.
        delta = changed_at(squares, delta / 3, 0.5, 0, SEED)
        self.assertAllClose(size(delta), full)

    def test_an_l2_change_is_one_square_fed_by_another(self):
        images = tf.zeros((2, 20, 20, 1))
        squares = norms.get("l2").squares(images, [0.04])
        self.assertEqual(squares.sides, [5])
        delta = squares.start(images, 0.5, SEED)
        touched = np.zeros((20, 20), bool)
        for i in range(200):
            new = changed_at(squares, delta, 0.5, 0, (i, 0)).numpy()
            kept = np.isclose(new, delta, atol=1e-6)
            changed = ~np.all(kept, axis=(0, 3))
            self.assertLessEqual(changed.sum(), 50)
            emptied = np.all(new == 0, axis=(0, 3))
            self.assertLessEqual(emptied.sum(), 25)
            touched |= changed
        self.assertTrue(touched[[0, -1]].any() and touched[:, [0, -1]].any())

    def test_energy_is_moved_from_one_square_to_the_other(self):
        # The image is not clipped, so the norm of each channel stays.
        images = tf.zeros((2, 12, 12, 3))
        tried = norms.get("l2").squares(images, [0.1])
        delta = tried.start(images, 0.5, SEED)
        for i in range(10):
            new = changed_at(tried, delta, 0.5, 0, (i, 7))
            self.assertAllClose(
                tf.reduce_sum(tf.square(new), [1, 2]),
                tf.reduce_sum(tf.square(delta), [1, 2]),
            )
            delta = new
