"""Norms against NumPy, and the rule for radii."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import norms
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


def flat_norm(delta, norm):
    order = np.inf if norm == "linf" else 2
    return np.linalg.norm(np.reshape(delta, (len(delta), -1)), order, axis=1)


class NormsTest(TestCase):
    @parameterized.parameters("linf", "l2")
    def test_size_is_the_norm_of_each_example(self, norm):
        delta = tf.random.stateless_normal((6, 4, 5, 3), SEED)
        size = norms.get(norm).size(delta)
        self.assertEqual(size.shape, (6, 1, 1, 1))
        self.assertAllClose(tf.squeeze(size), flat_norm(delta, norm))

    @parameterized.parameters("linf", "l2")
    def test_random_points_fill_the_ball_uniformly(self, norm):
        images = tf.zeros((20_000, 1, 2, 1))
        delta = norms.get(norm).random(images, 0.3, SEED)
        relative = flat_norm(delta, norm) / 0.3
        # In two dimensions the share of points within r is r^2.
        for r in (0.25, 0.5, 0.75):
            self.assertAllClose(np.mean(relative < r), r**2, atol=0.015)
        self.assertAllInRange(relative, 0, 1 + 1e-6)
        self.assertAllClose(
            np.mean(delta, axis=0), np.zeros((1, 2, 1)), 1, 0.01
        )

    @parameterized.parameters("linf", "l2")
    def test_no_direction_of_size_one_rises_more(self, norm):
        gradient = tf.random.stateless_normal((1, 3, 3, 1), SEED)
        ball = norms.get(norm)
        best = tf.reduce_sum(gradient * ball.steepest_ascent(gradient))
        dual = 1 if norm == "linf" else 2
        expected = np.linalg.norm(np.ravel(gradient), dual)
        self.assertAllClose(best, expected)

    @parameterized.parameters(1e-30, 1e-6, 1.0, 1e30)
    def test_l2_step_has_length_one_whatever_the_gradient(self, scale):
        gradient = scale * tf.random.stateless_normal((4, 3, 3, 1), SEED)
        step = norms.get("l2").steepest_ascent(gradient)
        self.assertAllClose(flat_norm(step, "l2"), np.ones(4))

    @parameterized.parameters("linf", "l2")
    def test_zero_gradient_gives_no_step_and_no_nan(self, norm):
        ball = norms.get(norm)
        zero = tf.zeros((2, 3, 3, 1))
        self.assertAllEqual(ball.steepest_ascent(zero), zero)
        self.assertAllEqual(ball.project(zero, 0.1), zero)

    @parameterized.parameters("linf", "l2")
    def test_project_is_the_nearest_point(self, norm):
        ball = norms.get(norm)
        inside = 0.01 * tf.random.stateless_normal((5, 3, 3, 1), SEED)
        self.assertAllClose(ball.project(inside, 1.0), inside)
        outside = 10 * tf.random.stateless_normal((5, 3, 3, 1), SEED)
        projected = ball.project(outside, 1.0)
        self.assertAllClose(flat_norm(projected, norm), np.ones(5))
        # Projection onto a convex set: no point of it lies beyond the plane
        # through the projection that faces the outside point.
        others = ball.random(outside, 1.0, SEED)
        facing = tf.reduce_sum(
            (outside - projected) * (others - projected), [1, 2, 3]
        )
        self.assertAllLessEqual(facing, 1e-4)

    def test_unknown_norm_is_refused_with_the_known_ones(self):
        with self.assertRaisesRegex(
            ValueError,
            r"`norm` must be one of \['l2', 'linf'\]. Received: norm='Linf'",
        ):
            norms.get("Linf")

    @parameterized.parameters(
        ("linf", 1.0), ("linf", 1e-6), ("l2", 1e-6), ("l2", 100.0)
    )
    def test_radii_up_to_the_whole_range_are_allowed(self, norm, radius):
        norms.check_radius(radius, norm)

    @parameterized.parameters(
        ("linf", 8, "at most 1, the whole of `value_range`.*mean 8 / 255"),
        ("l2", 0, "greater than 0"),
        ("l2", -1, "greater than 0"),
        ("l2", float("inf"), "finite"),
    )
    def test_other_radii_are_refused(self, norm, radius, message):
        with self.assertRaisesRegex(ValueError, f"`epsilon` must be {message}"):
            norms.check_radius(radius, norm)

    def test_0_is_a_radius_where_it_means_no_attack(self):
        norms.check_radius(0, "linf", allow_zero=True)
        with self.assertRaisesRegex(ValueError, "`epsilon` must be at least 0"):
            norms.check_radius(-0.1, "linf", allow_zero=True)
