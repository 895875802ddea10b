"""Tests of networks that take grey levels."""

import keras
from absl.testing import parameterized

import keras_sat
from keras_sat.checks import scaling
from tests.checks.networks import SHAPE
from tests.checks.networks import dense
from tests.checks.networks import subclassed
from tests.test_case import TestCase

layers = keras.layers


class OwnScalingTest(TestCase):
    @parameterized.parameters(
        ((layers.Rescaling(1 / 127.5, -1, name="a"),), "a"),
        (
            (layers.Normalization(mean=124.0, variance=58.0**2, name="b"),),
            "b",
        ),
        ((layers.Rescaling(2.0, -1), layers.Conv2D(3, 1)), None),
        ((layers.Rescaling(255.0), layers.Rescaling(1 / 255)), None),
        ((layers.Conv2D(3, 1), layers.Rescaling(1 / 255)), None),
        ((), None),
    )
    def test_a_layer_that_takes_grey_levels_is_found(self, first, name):
        model = keras.Sequential(
            [keras.Input(SHAPE), *first, layers.Flatten(), dense()]
        )
        self.assertEqual(scaling.scaling_layer(model), name)
        outer = keras.Sequential([keras.Input(SHAPE), model])
        self.assertEqual(scaling.scaling_layer(outer), name)
        sat = keras_sat.SATModel(model, value_range=(0, 255))
        self.assertEqual(scaling.scaling_layer(sat), name)

    def test_a_division_is_found_and_a_function_is_not_looked_into(self):
        inputs = keras.Input(SHAPE)
        model = keras.Model(inputs, dense()(layers.Flatten()(inputs / 255)))
        self.assertStartsWith(scaling.scaling_layer(model), "true_divide")
        self.assertIsNone(scaling.scaling_layer(lambda x: model(x)))
        self.assertIsNone(scaling.scaling_layer(subclassed()))
