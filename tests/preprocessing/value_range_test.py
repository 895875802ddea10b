"""Tests of the scaling of uint8 images."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.preprocessing.value_range import to_float
from keras_sat.preprocessing.value_range import to_grey_levels
from tests.test_case import TestCase


class ToFloatTest(TestCase):
    @parameterized.parameters((0, 1), (0, 255), (-1, 1), (-2.5, 3.0))
    def test_black_and_white_are_the_ends_of_the_range(self, low, high):
        found = to_float(np.array([[0, 51, 255]], np.uint8), (low, high))
        self.assertEqual(found.dtype, tf.float32)
        expected = [[low, low + 0.2 * (high - low), high]]
        self.assertAllClose(found, expected, rtol=0, atol=1e-5)

    @parameterized.parameters("float16", "bfloat16", "float32", "float64")
    def test_floats_keep_their_values_and_become_float32(self, dtype):
        images = tf.constant([[0.0, 0.25, 1.0]], dtype)
        found = to_float(images, (0, 255))
        self.assertEqual(found.dtype, tf.float32)
        self.assertAllEqual(found, [[0.0, 0.25, 1.0]])


class ToGreyLevelsTest(TestCase):
    @parameterized.parameters((0, 1), (0, 255), (-1, 1), (-2.5, 3.0))
    def test_it_undoes_the_scaling_of_every_level(self, low, high):
        levels = np.arange(256, dtype=np.uint8)[None]
        images = np.asarray(to_float(levels, (low, high)))
        found = to_grey_levels(images, (low, high))
        self.assertEqual(found.dtype, np.uint8)
        self.assertAllEqual(found, levels)
        # What is less than half a level away is rounded to it.
        shift = 0.49 * (high - low) / 255
        self.assertAllEqual(
            to_grey_levels(images[:, :-1] + shift, (low, high)), levels[:, :-1]
        )
