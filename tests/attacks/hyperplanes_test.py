"""Projections onto hyperplanes against bisection."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import norms
from keras_sat.attacks.hyperplanes import to_hyperplane
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


def nearest_zero(norm, point, gradient, value):
    """The change that `to_hyperplane` looks for, by bisection.

    Args:
        norm: str.
        point: array of pixels in `[0, 1]`.
        gradient: array like `point`.
        value: float. The linear function at the point.
    """
    direction = np.sign(gradient) if norm == "linf" else gradient
    direction = -np.sign(value) * direction

    def change(t):
        return np.clip(point + t * direction, 0, 1) - point

    low, high = 0.0, 1.0
    while high < 1e9 and (value + gradient @ change(high)) * value > 0:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        if (value + gradient @ change(middle)) * value > 0:
            low = middle
        else:
            high = middle
    return change(high)


class HyperplaneTest(TestCase):
    @parameterized.parameters("linf", "l2")
    def test_projects_onto_a_hyperplane_inside_the_range(self, norm):
        generator = np.random.default_rng(0)
        points = generator.uniform(0, 1, (60, 2, 3, 2)).astype("float32")
        points[:10] = np.round(points[:10])
        gradient = generator.normal(size=points.shape).astype("float32")
        gradient[20:30] *= generator.random(gradient[20:30].shape) < 0.5
        value = generator.normal(0, 3, 60).astype("float32")
        change = to_hyperplane(
            norms.get(norm),
            *map(tf.constant, (points, gradient, value)),
            (0.0, 1.0),
        )
        expected = [
            nearest_zero(norm, *row)
            for row in zip(
                points.reshape(60, -1).astype("float64"),
                gradient.reshape(60, -1).astype("float64"),
                value.astype("float64"),
                strict=True,
            )
        ]
        change = np.reshape(change, (60, -1))
        self.assertAllClose(change, expected, atol=2e-5)
        ends = value + np.sum(gradient.reshape(60, -1) * change, 1)
        met = np.abs(ends) < 1e-4
        # There are cases of both kinds.
        self.assertGreater(met.sum(), 20)
        self.assertLess(met.sum(), 60)

    @parameterized.parameters("linf", "l2")
    def test_no_gradient_or_no_distance_means_no_change(self, norm):
        points = tf.fill((2, 3), 0.5)
        gradient = tf.constant([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0]])
        value = tf.constant([1.0, 0.0])
        change = to_hyperplane(
            norms.get(norm), points, gradient, value, (0.0, 1.0)
        )
        self.assertAllEqual(change, tf.zeros_like(points))

    @parameterized.parameters("linf", "l2")
    def test_one_image_without_a_number_does_not_hold_up_the_others(self, norm):
        # Newton's method would go on for as many steps as there are pixels.
        points = tf.fill((2, 512, 512, 1), 0.5)
        gradient = tf.ones_like(points)
        value = tf.constant([float("nan"), 512.0])
        change = to_hyperplane(
            norms.get(norm), points, gradient, value, (0.0, 1.0)
        )
        self.assertAllClose(change[1], tf.fill((512, 512, 1), -1 / 512))
