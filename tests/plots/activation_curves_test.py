"""Curves of activations and their derivatives."""

import numpy as np
from keras import ops

from keras_sat import plots
from tests.test_case import TestCase


def drawn(axis):
    """From the label of each line to its values."""
    return {line.get_label(): line.get_ydata() for line in axis.lines}


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
