"""Grids of images before and after an attack."""

import numpy as np
from absl.testing import parameterized

from keras_sat import plots
from keras_sat.plots.image_grid import RIGHT
from keras_sat.plots.image_grid import WRONG
from tests.test_case import TestCase


def texts(figure):
    """The titles of the pictures, row by row."""
    return [axis.get_title() for axis in figure.axes]


class PerturbationGridTest(TestCase):
    def setUp(self):
        super().setUp()
        generator = np.random.default_rng(0)
        self.images = generator.uniform(0.2, 0.8, (3, 8, 8, 3))
        self.adversarial = self.images.copy()
        self.adversarial[0, 0, 0, 0] += 0.1
        self.adversarial[2, 7, 7, 2] -= 0.05

    def test_shows_images_and_scaled_differences(self):
        figure = plots.perturbation_grid(
            self.images, self.adversarial, [0, 1, 2], [0, 1, 2], [0, 1, 2]
        )
        shown = [axis.images[0].get_array() for axis in figure.axes]
        self.assertAllEqual(shown[:3], np.float32(self.images))
        self.assertAllEqual(shown[3:6], np.float32(self.adversarial))
        difference = np.full_like(self.images, 0.5)
        difference[0, 0, 0, 0] = 1.0
        difference[2, 7, 7, 2] = 0.25
        self.assertAllClose(shown[6:], difference, atol=1e-6)
        self.assertIn("0.100", figure.axes[6].get_ylabel())

    def test_names_the_predicted_and_where_wrong_the_true_class(self):
        figure = plots.perturbation_grid(
            self.images,
            self.adversarial,
            labels=[0, 1, 2],
            clean_predictions=[0, 1, 1],
            adversarial_predictions=[0, 2, 2],
            class_names=["cat", "dog", "owl"],
        )
        self.assertEqual(
            texts(figure)[:6],
            ["cat", "dog", "dog (is owl)", "cat", "owl (is dog)", "owl"],
        )
        colors = [axis.title.get_color() for axis in figure.axes[:3]]
        self.assertEqual(colors, [RIGHT, RIGHT, WRONG])

    def test_another_value_range_and_gray_images_look_the_same(self):
        gray = self.images[..., :1]
        classes = [[0, 1, 2]] * 3
        figures = [
            plots.perturbation_grid(gray, gray, *classes),
            plots.perturbation_grid(
                2 * gray - 1, 2 * gray - 1, *classes, value_range=(-1, 1)
            ),
        ]
        first, second = (
            [axis.images[0].get_array() for axis in figure.axes]
            for figure in figures
        )
        self.assert_same_up_to_rounding(first, second, roundings=4)
        self.assertAllEqual(
            first[0], np.repeat(np.float32(gray[0]), 3, axis=-1)
        )

    @parameterized.parameters(
        (
            {"images": np.zeros((3, 8, 8))},
            r"`images` must.*\(3, 8, 8\)",
        ),
        ({"adversarial": np.zeros((2, 8, 8, 3))}, r"`adversarial`.*\(2, 8, 8"),
        ({"labels": [0, 1]}, r"`labels` must be 3 class ids.*\(2,\)"),
        ({"clean_predictions": [0.1, 0.2, 0.3]}, "`clean_pred.*float64"),
    )
    def test_bad_shapes_are_refused(self, changed, message):
        arguments = {
            "images": self.images,
            "adversarial": self.adversarial,
            "labels": [0, 1, 2],
            "clean_predictions": [0, 1, 2],
            "adversarial_predictions": [0, 1, 2],
        }
        with self.assertRaisesRegex(ValueError, message):
            plots.perturbation_grid(**(arguments | changed))
