"""Tests of the bicubic kernels."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.preprocessing import resizing
from tests.test_case import TestCase


class ResizingTest(TestCase):
    @parameterized.parameters(*resizing.RESIZINGS)
    def test_an_image_of_the_size_stays_as_it_is(self, name):
        image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
        same = resizing.RESIZINGS[name](image, 9, 12)
        self.assertEqual(same.dtype, tf.float32)
        self.assertAllClose(same, image, rtol=0, atol=1e-4)

    @parameterized.parameters(*resizing.RESIZINGS)
    def test_values_stay_in_the_range_of_pixels(self, name):
        # The cubic overshoots beside an edge.
        image = np.zeros((8, 8, 3), np.uint8)
        image[:, 4:] = 255
        large = resizing.RESIZINGS[name](image, 32, 32)
        self.assertAllInRange(large, 0.0, 255.0)
        self.assertAllClose(large[:, 0], np.zeros((32, 3)), atol=1e-4)
        self.assertAllClose(large[:, -1], np.full((32, 3), 255.0))

    def test_the_weights_of_opencv_are_those_of_its_cubic(self):
        indices, weights = resizing.cubic_taps(10, 25, 5, 12)

        def cubic(distance, a=-0.75):
            d = np.abs(distance)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * (d**3 - 5 * d**2 + 8 * d - 4)
            return np.where(d <= 1, near, np.where(d < 2, far, 0))

        # Pixels of the result, in pixels of the source.
        places = (np.arange(5, 17) + 0.5) * 10 / 25 - 0.5
        neighbours = np.floor(places)[:, None] + np.arange(-1, 3)
        self.assertAllEqual(indices, np.clip(neighbours, 0, 9))
        expected = cubic(places[:, None] - neighbours)
        self.assertAllClose(weights, expected, rtol=0, atol=1e-6)

    def test_to_uint8_rounds_and_clips(self):
        found = resizing.to_uint8([-3.0, 0.4, 0.6, 254.6, 300.0])
        self.assertEqual(found.dtype, tf.uint8)
        self.assertAllEqual(found, [0, 0, 1, 255, 255])
