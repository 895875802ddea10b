"""Tests of ReLU with the gradient of another function."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from tests.activations.every import derivatives
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


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
