"""Tests of random parts of images."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.data import random_crops
from tests import photographs
from tests.test_case import TestCase


def seeds(count):
    """Returns seeds as tensors `(2,)`."""
    return [tf.constant([7, i], tf.int64) for i in range(count)]


class RandomWindowTest(TestCase):
    def windows(self, height, width, count=400, **options):
        draw = tf.function(random_crops.random_window)
        shape = tf.constant([height, width, 3])
        return np.array(
            [draw(shape, seed, **options) for seed in seeds(count)], float
        )

    def test_windows_are_those_of_the_recipe(self):
        top, left, height, width = self.windows(300, 400).T
        self.assertAllInRange(top, 0, 300 - height)
        self.assertAllInRange(left, 0, 400 - width)
        area, ratio = height * width / (300 * 400), width / height
        self.assertAllInRange(area, 0.079, 1.0)
        self.assertAllInRange(ratio, 0.745, 1.345)
        # The height is uniform, from that of the smallest window to that of
        # the image: for squares, 98 to 300, which makes 0.36 of the area.
        self.assertBetween(area.mean(), 0.34, 0.41)
        self.assertLess(area.min(), 0.1)
        self.assertGreater(area.max(), 0.93)
        self.assertBetween(ratio.mean(), 0.95, 1.1)

    def test_where_no_window_fits_it_is_the_whole_image(self):
        self.assertAllEqual(
            self.windows(10, 1000, count=20, area=(0.9, 1.0)),
            np.tile([0, 0, 10, 1000], (20, 1)),
        )

    @parameterized.parameters("JPEG", "PNG")
    def test_the_part_of_the_image_is_the_window(self, file_format):
        photo = photographs.photograph(0, 90, 120)
        contents = photographs.encoded(photo, file_format)
        whole = tf.io.decode_image(contents)
        for seed in seeds(5):
            part = random_crops.decode_random_window(contents, seed)
            top, left, height, width = random_crops.random_window(
                tf.shape(whole), seed
            )
            expected = whole[top : top + height, left : left + width]
            self.assertEqual(part.shape, expected.shape)
            difference = np.abs(np.int32(part) - np.int32(expected))
            # At its border, a JPEG has other colors if only a part is decoded.
            self.assertEqual(np.median(difference), 0)
            self.assertLess(difference.mean(), 2)

    def test_a_shifted_image_keeps_its_pixels_and_gets_a_black_border(self):
        image = np.random.default_rng(0).integers(1, 256, (6, 9, 3), np.uint8)
        contents = tf.io.encode_png(image)
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        offsets = set()
        for seed in seeds(60):
            part = random_crops.decode_shifted(contents, seed, 2).numpy()
            matches = [
                (y, x)
                for y in range(5)
                for x in range(5)
                if np.array_equal(padded[y : y + 6, x : x + 9], part)
            ]
            self.assertLen(matches, 1)
            offsets.update(matches)
        self.assertGreater(len(offsets), 15)
