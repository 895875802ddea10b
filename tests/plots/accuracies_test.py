"""Pictures of accuracies show the numbers that they are given."""

import keras
from absl.testing import parameterized

from keras_sat import plots
from tests.test_case import TestCase


def drawn(axis):
    """From the label of each line to its values."""
    return {line.get_label(): line.get_ydata() for line in axis.lines}


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


class EvaluationTest(TestCase):
    def test_bars_have_intervals_and_curves_have_panels(self):
        accuracies = {"clean": (0.9, 0.85, 0.93), "PGD": (0.4, 0.35, 0.46)}
        curves = {"epsilon": {0.1: 0.4, 0.0: 0.9}, "steps": {1: 0.5, 10: 0.4}}
        figure = plots.evaluation(accuracies, curves)
        bars, epsilon, steps = figure.axes
        heights = [bar.get_height() for bar in bars.patches]
        self.assertAllClose(heights, [0.9, 0.4])
        names = [label.get_text() for label in bars.get_xticklabels()]
        self.assertEqual(names, ["clean", "PGD"])
        (lines,) = bars.collections
        bounds = [line[:, 1].tolist() for line in lines.get_segments()]
        self.assertAllClose(bounds, [[0.85, 0.93], [0.35, 0.46]])
        (line,) = epsilon.lines
        self.assertAllEqual(line.get_xydata(), [[0.0, 0.9], [0.1, 0.4]])
        self.assertEqual(steps.get_xlabel(), "steps")
        self.assertLen(plots.evaluation(accuracies, {}).axes, 1)
        with self.assertRaisesRegex(ValueError, "`accuracies` must hold"):
            plots.evaluation({}, curves)
