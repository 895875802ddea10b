"""Tests of layers that are hard to copy."""

import keras
import pytest

from keras_sat import convert_activations
from keras_sat.models import copying
from tests.models.networks import images
from tests.models.networks import relus
from tests.models.networks import sites_of
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

layers = keras.layers


class CopyingTest(TestCase):
    def test_lambda_layers_keep_their_function(self):
        inputs = keras.Input((8, 8, 3))
        x = layers.Lambda(lambda x: 2 * x)(inputs)
        x = layers.Lambda(keras.ops.relu)(layers.Conv2D(4, 3)(x))
        model = keras.Model(inputs, x)
        smooth = convert_activations(model)
        self.assertEmpty(sites_of(smooth))
        self.assertEmpty(relus(smooth))
        kept = convert_activations(model, "relu")
        self.assert_same_bits(kept(images()), model(images()))

    def test_refuses_a_layer_that_cannot_be_rebuilt(self):
        class Opaque(layers.Layer):
            def __init__(self, function):
                super().__init__()
                self.function = function

            def call(self, x):
                return self.function(x)

        inputs = keras.Input((8, 8, 3))
        model = keras.Model(inputs, Opaque(lambda x: 2 * x)(inputs))
        with self.assertRaisesRegex(
            ValueError, "configuration can rebuild. Received opaque"
        ):
            convert_activations(model)

    def test_a_copy_has_weights_of_its_own_and_the_changes(self):
        layer = layers.Dense(3, activation="relu", name="dense")
        layer.build((None, 4))
        copy = copying.copy_part(layer, {"activation": "linear"})
        self.assertEqual((copy.name, copy.units), ("dense", 3))
        self.assertIs(copy.activation, keras.activations.linear)
        self.assertFalse(copy.built)
        # The activation is handed on as an object, not by its name.
        custom = layers.Dense(3, activation=images)
        same = copying.copy_part(custom)
        self.assertIs(same.activation, custom.activation)

    def test_normalizations_are_found_inside_layers(self):
        first, second = layers.BatchNormalization(), layers.BatchNormalization()
        model = keras.Sequential(
            [keras.Input((4,)), first, keras.Sequential([second])]
        )
        self.assertEqual(copying.normalizations(model), [first, second])
        self.assertEqual(copying.normalizations(first), [first])
        self.assertEmpty(copying.normalizations(layers.Dense(2)))
