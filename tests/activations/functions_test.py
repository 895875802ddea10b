"""Tests of the values and slopes of activations."""

import math

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from tests.activations.every import EVERY
from tests.activations.every import SMOOTH
from tests.activations.every import activation
from tests.activations.every import derivatives
from tests.models import reference
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

OFFICIAL = ("relu", "silu", "softplus", "elu", "gelu", "mish")
ROOTS = ("0.5", "1", "3", "20")

# Formulas in float64, for the activations that the official code lacks.
FORMULAS = {
    "celu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu_exact": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5)),
    "parametric_softplus": lambda x: np.logaddexp(0, 10 * x) / 10,
    "squareplus": lambda x: (x + np.sqrt(x**2 + 4)) / 2,
    "CELU(2.5)": lambda x: np.where(
        x > 0, x, 2.5 * np.expm1(np.minimum(x, 0) / 2.5)
    ),
    "ELU(2.5)": lambda x: np.where(x > 0, x, 2.5 * np.expm1(np.minimum(x, 0))),
    "ParametricSoftplus(3.0)": lambda x: np.logaddexp(0, 3 * x) / 3,
    "SmoothReLU(7.0)": lambda x: (
        np.maximum(x, 0) - np.log1p(7 * np.maximum(x, 0)) / 7
    ),
}


class ValuesTest(TestCase):
    @parameterized.parameters(*OFFICIAL)
    def test_values_and_derivatives_equal_the_official_code(self, name):
        fixture = reference.arrays("activations")
        y, derivative, _ = derivatives(activation(name), fixture["x"])
        self.assertAllClose(y, fixture[name], rtol=1e-6, atol=4e-6)
        self.assertAllClose(
            derivative, fixture[f"d_{name}"], rtol=1e-6, atol=4e-6
        )

    @parameterized.parameters(*ROOTS)
    def test_smooth_relu_equals_the_official_code(self, root):
        fixture = reference.arrays("activations")
        name = f"smoothrelu_raw{root}"
        layer = activations.SmoothReLU(float(root) ** 2)
        x = tf.constant(fixture["x"])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        derivative, root = tape.gradient(y, [x, layer.root])
        self.assertAllClose(y, fixture[name], rtol=1e-6, atol=4e-6)
        self.assertAllClose(derivative, fixture[f"d_{name}"], atol=4e-6)
        self.assertAllClose(root, fixture[f"dbeta_{name}"][0], rtol=1e-5)

    @parameterized.parameters(*FORMULAS)
    def test_others_equal_their_formula_and_its_slope(self, name):
        x = np.concatenate([np.linspace(-8, 8, 161) + 1e-3, [-1e4, 1e4]])
        formula, step = FORMULAS[name], 1e-5
        slope = (formula(x + step) - formula(x - step)) / (2 * step)
        y, derivative, _ = derivatives(activation(name), x)
        self.assertAllClose(y, formula(x), rtol=1e-7, atol=1e-9)
        self.assertAllClose(derivative, slope, rtol=1e-6, atol=1e-6)

    def test_both_forms_of_gelu_are_close_but_different(self):
        x = np.linspace(-4, 4, 101)
        difference = activations.gelu(x) - activations.gelu_exact(x)
        self.assertBetween(np.abs(difference).max(), 1e-4, 5e-4)

    @parameterized.parameters(*EVERY)
    def test_second_derivative_is_the_slope_of_the_first(self, name):
        x = np.concatenate([np.linspace(-6, 6, 60), [-1e4, 1e4]])
        step, function = 1e-5, activation(name)
        _, _, second = derivatives(function, x)
        above, below = (
            derivatives(function, x + sign * step)[1] for sign in (1, -1)
        )
        slope = (above - below) / (2 * step)
        self.assertAllClose(second, slope, rtol=1e-4, atol=1e-4)


class NumbersTest(TestCase):
    @parameterized.product(
        name=EVERY, dtype=["float16", "bfloat16", "float32", "float64"]
    )
    def test_no_dtype_overflows(self, name, dtype):
        large = [
            -1e4,
            -3e3,
            -300,
            -30,
            -1,
            -0.01,
            0,
            0.01,
            1,
            30,
            300,
            3e3,
            1e4,
        ]
        x = tf.cast(large, dtype)
        results = derivatives(activation(name), x)
        exact = derivatives(activation(name), tf.cast(x, "float64"))
        slack = {"float16": 2e-3, "bfloat16": 2e-2}.get(dtype, 4e-6)
        for value, expected in zip(results, exact, strict=True):
            self.assertEqual(value.dtype, dtype)
            value = tf.cast(value, "float64")
            self.assertAllClose(value, expected, rtol=slack, atol=slack)

    @parameterized.parameters(*SMOOTH)
    def test_smooth_ones_and_their_derivative_are_continuous_at_0(self, name):
        x = np.array([-1e-7, 0.0, 1e-7])
        y, derivative, _ = derivatives(activation(name), x)
        self.assertAllClose(y, [y[1]] * 3, rtol=0, atol=1e-6)
        # The slope of SmoothReLU rises by 400 per unit.
        self.assertAllClose(derivative, [derivative[1]] * 3, rtol=0, atol=1e-4)

    @parameterized.parameters(("relu", 1.0), ("ELU(2.5)", -1.5))
    def test_the_derivative_of_the_others_jumps(self, name, jump):
        x = np.array([-1e-7, 1e-7])
        _, derivative, _ = derivatives(activation(name), x)
        self.assertAllClose(derivative[1] - derivative[0], jump, atol=1e-5)
