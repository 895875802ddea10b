"""Tests of activations as layers of a model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from tests.activations.every import CONFIGURED
from tests.activations.every import EVERY
from tests.activations.every import activation
from tests.activations.every import derivatives
from tests.models import reference
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


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

    def test_the_weight_of_smooth_relu_stays_float32_in_half_precision(self):
        layer = activations.SmoothReLU(dtype="mixed_float16")
        x = tf.constant([-1.0, 0.5, 1e4], "float16")
        with tf.GradientTape() as tape:
            y = layer(x)
        gradient = tape.gradient(y, layer.root)
        self.assertEqual(y.dtype, "float16")
        self.assertEqual(gradient.dtype, "float32")
        self.assertGreater(gradient, 0.0)

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
