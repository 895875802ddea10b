"""Tests of `keras_sat.plots`."""

import os
import sys
from unittest import mock

import keras
import numpy as np
from absl.testing import parameterized
from keras import ops

from keras_sat import plots
from tests.test_case import TestCase


def drawn(axis):
    """From the label of each line to its values."""
    return {line.get_label(): line.get_ydata() for line in axis.lines}


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
        self.assertEqual(colors, [plots.RIGHT, plots.RIGHT, plots.WRONG])

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


class CurvesTest(TestCase):
    def test_robustness_is_the_mean_over_runs_with_a_band(self):
        figure = plots.robustness_curves(
            {
                "relu": {0.1: [0.6, 0.8], 0.0: [0.9, 1.0]},
                "silu": {0.0: 0.9, 0.1: 0.75},
            }
        )
        (axis,) = figure.axes
        lines = drawn(axis)
        self.assertAllClose(lines["relu"], [0.95, 0.7])
        self.assertAllClose(lines["silu"], [0.9, 0.75])
        self.assertAllClose(axis.lines[0].get_xdata(), [0.0, 0.1])
        band = axis.collections[0].get_paths()[0].vertices[:, 1]
        self.assertAllClose(sorted(set(band)), [0.6, 0.8, 0.9, 1.0])

    def test_the_horizontal_axis_is_named_after_what_it_shows(self):
        curve = {"relu": {1: 0.6, 50: 0.4}}
        for options, label in (
            ({}, "epsilon (fraction of the value range)"),
            ({"x_label": "steps"}, "steps"),
        ):
            (axis,) = plots.robustness_curves(curve, **options).axes
            self.assertEqual(axis.get_xlabel(), label)
            self.assertEqual(axis.get_ylabel(), "accuracy")

    @parameterized.parameters(
        ({}, "`accuracies` must hold.*Received"),
        ({"relu": {}}, "`accuracies` must hold.*relu"),
        ({"relu": {0.1: 71.0}}, r"must lie in \[0, 1\].*71"),
    )
    def test_bad_accuracies_are_refused(self, accuracies, message):
        with self.assertRaisesRegex(ValueError, message):
            plots.robustness_curves(accuracies)

    def test_training_curves_separate_loss_from_accuracies(self):
        logs = {
            "loss": [2.0, 1.0],
            "val_loss": [2.5, 1.5],
            "robust_accuracy": [0.3, 0.5],
            "val_robust_accuracy": [0.2, 0.4],
            "learning_rate": [0.1, 0.1],
        }
        history = keras.callbacks.History()
        history.history = logs
        for argument in (logs, history):
            left, right = plots.training_curves(argument).axes
            self.assertAllEqual(list(drawn(left)), ["loss", "val_loss"])
            self.assertAllClose(drawn(left)["val_loss"], [2.5, 1.5])
            self.assertAllClose(drawn(right)["robust_accuracy"], [0.3, 0.5])
            train, val = right.lines
            self.assertEqual(train.get_color(), val.get_color())
            self.assertNotEqual(train.get_linestyle(), val.get_linestyle())

    def test_training_curves_without_accuracies_show_the_loss(self):
        left, right = plots.training_curves({"loss": [2.0, 1.0]}).axes
        self.assertAllClose(drawn(left)["loss"], [2.0, 1.0])
        self.assertEmpty(drawn(right))

    def test_a_history_without_loss_and_accuracy_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`history` must.*Received"):
            plots.training_curves({"learning_rate": [0.1]})


class ActivationsTest(TestCase):
    def test_draws_values_and_derivatives(self):
        left, right = plots.activations(
            {"silu": ops.silu, "square": ops.square}, low=-2, high=2
        ).axes
        x = left.lines[0].get_xdata()
        self.assertAllClose([x[0], x[-1]], [-2, 2])
        sigmoid = 1 / (1 + np.exp(-x))
        self.assertAllClose(drawn(left)["silu"], x * sigmoid)
        self.assertAllClose(
            drawn(right)["silu"], sigmoid * (1 + x * (1 - sigmoid)), atol=1e-5
        )
        self.assertAllClose(drawn(right)["square"], 2 * x)

    def test_an_empty_interval_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`high` must be greater than"):
            plots.activations({"silu": ops.silu}, low=1.0, high=1.0)


class SavingTest(TestCase):
    def test_the_picture_is_written_where_path_says(self):
        path = os.path.join(self.get_temp_dir(), "curve.png")
        plots.robustness_curves({"relu": {0.0: 0.9, 0.1: 0.5}}, path=path)
        from matplotlib.image import imread

        picture = imread(path)
        self.assertEqual(picture.shape[:2], (600, 900))
        self.assertGreater(np.std(picture[..., :3]), 0.05)

    def test_drawing_leaves_pyplot_alone(self):
        plots.activations({"silu": ops.silu})
        pyplot = sys.modules.get("matplotlib.pyplot")
        self.assertFalse(pyplot and pyplot.get_fignums())

    def test_a_missing_package_is_named_with_its_extra(self):
        with mock.patch.dict(sys.modules, {"matplotlib.figure": None}):
            with self.assertRaisesRegex(
                ImportError, r"matplotlib.*Received.*keras_sat\[plots\]"
            ):
                plots.activations({"silu": ops.silu})


class NotebookTest(TestCase):
    def test_notebooks_show_pictures_without_pyplot(self):
        figure = plots.activations({"relu": ops.relu})
        shown = figure._repr_png_()
        self.assertTrue(shown.startswith(b"\x89PNG"))
        path = os.path.join(self.get_temp_dir(), "picture.png")
        figure.savefig(path)
        with open(path, "rb") as file:
            self.assertEqual(shown, file.read())
