import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
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
CONFIGURED = {
    "CELU(2.5)": activations.CELU(2.5),
    "ELU(2.5)": activations.ELU(2.5),
    "ParametricSoftplus(3.0)": activations.ParametricSoftplus(3.0),
    "SmoothReLU(7.0)": activations.SmoothReLU(7.0, learnable=False),
    "relu_with_gradient_of(silu)": activations.relu_with_gradient_of("silu"),
    "relu_with_gradient_of(softplus10)": activations.relu_with_gradient_of(
        activations.ParametricSoftplus
    ),
}
EVERY = (*activations.NAMES, *CONFIGURED)
SMOOTH = sorted(set(activations.NAMES) - {"relu"}) + ["CELU(2.5)"]


def activation(name):
    return activations.get(CONFIGURED.get(name, name))


def derivatives(function, x):
    """Value, first and second derivative at each point."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        first = tape.gradient(y, x)
    return y, first, outer.gradient(first, x)


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

    def test_the_weight_of_smooth_relu_stays_float32_in_half_precision(self):
        layer = activations.SmoothReLU(dtype="mixed_float16")
        x = tf.constant([-1.0, 0.5, 1e4], "float16")
        with tf.GradientTape() as tape:
            y = layer(x)
        gradient = tape.gradient(y, layer.root)
        self.assertEqual(y.dtype, "float16")
        self.assertEqual(gradient.dtype, "float32")
        self.assertGreater(gradient, 0.0)


class ReLUWithGradientOfTest(TestCase):
    @parameterized.parameters(
        "silu",
        activations.ParametricSoftplus,
        activations.ParametricSoftplus(5.0),
        keras.activations.softplus,
    )
    def test_is_relu_forward_and_smooth_backward(self, smooth):
        function = activations.relu_with_gradient_of(smooth)
        x = np.linspace(-3, 3, 40).astype("float32")
        upstream = tf.constant(np.linspace(0.5, 2, 40), "float32")

        @tf.function(jit_compile=True)
        def compiled(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return y, tape.gradient(y, x, output_gradients=upstream)

        expected = derivatives(activations.get(smooth), x)[1] * upstream
        y, gradient = compiled(tf.constant(x))
        self.assertAllEqual(y, np.maximum(x, 0))
        self.assert_same_up_to_rounding(gradient, expected, roundings=20)
        self.assert_same_bits(derivatives(function, x)[1] * upstream, expected)

    @parameterized.parameters("bfloat16", "float16")
    def test_forward_is_exact_in_half_precision(self, dtype):
        function = activations.relu_with_gradient_of("softplus")
        x = tf.cast(np.linspace(-9, 9, 101), dtype)
        self.assertAllEqual(function(x), tf.nn.relu(x))

    @parameterized.parameters("smoothrelu", activations.SmoothReLU)
    def test_refuses_weights_that_would_not_be_trained(self, smooth):
        with self.assertRaisesRegex(
            ValueError,
            "`smooth` must have no weights.*Received: smooth=<Smooth",
        ):
            activations.relu_with_gradient_of(smooth)

    def test_refuses_weights_that_are_made_later(self):
        function = activations.relu_with_gradient_of(keras.layers.PReLU)
        with self.assertRaisesRegex(ValueError, "must have no weights"):
            function(tf.ones((2, 3)))


class ModelTest(TestCase):
    @parameterized.parameters(*EVERY)
    def test_a_model_with_it_survives_saving(self, name):
        inputs = keras.Input((4,))
        x = keras.layers.Dense(8)(inputs)
        x = activations.layer(CONFIGURED.get(name, name), "site")(x)
        model = keras.Model(inputs, keras.layers.Dense(2)(x))
        images = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
        loaded = reference.save_and_load(model, self.get_temp_dir())
        before, after = (derivatives(m, images)[:2] for m in (model, loaded))
        self.assertAllEqual(before[0], after[0])
        self.assertAllEqual(before[1], after[1])
        self.assertGreater(np.abs(before[1]).max(), 0)

    @parameterized.parameters(
        "smoothrelu", activations.SmoothReLU, activations.SmoothReLU(9.0)
    )
    def test_each_site_has_a_weight_of_its_own(self, identifier):
        sites = [activations.layer(identifier, f"site{i}") for i in range(3)]
        self.assertLen({id(site.root) for site in sites}, 3)
        self.assertEqual([s.name for s in sites], ["site0", "site1", "site2"])
        self.assertIsNot(sites[0], identifier)
        expected = getattr(identifier, "alpha", 400.0)
        if isinstance(identifier, type):
            expected = 400.0
        for site in sites:
            self.assertAllClose(site.root**2, expected)

    def test_a_configured_object_hands_on_its_configuration(self):
        first = activations.layer(activations.CELU(3.0))
        second = activations.layer(
            activations.relu_with_gradient_of(activations.ELU(2.0))
        )
        self.assertEqual(first.alpha, 3.0)
        self.assertEqual(second.smooth.alpha, 2.0)

    @parameterized.parameters(*EVERY)
    def test_can_be_called_on_a_symbolic_tensor(self, name):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, activation(name)(inputs))
        x = np.linspace(-3, 3, 8).reshape(2, 4).astype("float32")
        self.assert_same_bits(model(x), activation(name)(x))

    def test_training_moves_the_sharpness(self):
        layer = activations.SmoothReLU(1.0)
        model = keras.Sequential([keras.layers.Dense(4), layer])
        model.compile("sgd", "mse")
        model.fit(np.ones((8, 3)), np.ones((8, 4)), verbose=0)
        self.assertNotEqual(float(layer.root.numpy()), 1.0)


class GetTest(TestCase):
    def test_swish_is_silu(self):
        self.assertIs(activations.get("swish"), activations.get("silu"))

    def test_gives_callables_back(self):
        layer = activations.CELU(2.0)
        self.assertIs(activations.get(layer), layer)
        self.assertIs(activations.get(tf.nn.tanh), tf.nn.tanh)

    def test_takes_a_configuration(self):
        config = keras.saving.serialize_keras_object(activations.CELU(2.0))
        self.assertEqual(activations.get(config).alpha, 2.0)

    def test_lists_the_names_for_an_unknown_one(self):
        with self.assertRaisesRegex(
            ValueError,
            r"`activation` must be one of \['celu', .*'swish'\]. "
            "Received: activation='swisch'",
        ):
            activations.get("swisch")

    @parameterized.parameters(3, None, int)
    def test_refuses_what_is_no_activation(self, identifier):
        with self.assertRaisesRegex(
            TypeError, "`activation` must be one of .* Received: activation="
        ):
            activations.get(identifier)

    @parameterized.parameters(
        activations.ELU,
        activations.CELU,
        activations.ParametricSoftplus,
        activations.SmoothReLU,
    )
    def test_alpha_must_be_a_positive_number(self, layer):
        with self.assertRaisesRegex(
            ValueError, "`alpha` must be greater than 0. Received: alpha=-1"
        ):
            layer(-1)
        with self.assertRaisesRegex(TypeError, "`alpha` must be a number"):
            layer("1")
