"""Tests of what a `SATModel` tells of the network inside of it."""

import os

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase

NAMES = (
    "input",
    "inputs",
    "input_shape",
    "output",
    "outputs",
    "output_shape",
    "output_names",
)


@keras.saving.register_keras_serializable("tests")
class OwnCall(keras.Model):
    """A network with code of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(3)

    def call(self, images):
        return self.dense(self.flatten(images))


def own_call():
    network = OwnCall()
    network(np.zeros((1, 8, 8, 3), "float32"))
    return network


def sequential():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )


def answer(model, name):
    """Returns an attribute, or the kind and the words of the error."""
    try:
        return getattr(model, name)
    except Exception as error:
        return type(error), str(error)


class NetworkAttributesTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_answers_and_errors_are_those_of_the_network(self, name):
        for network in (self.tiny_classifier()[0], sequential(), own_call()):
            model = keras_sat.SATModel(network)
            found, expected = answer(model, name), answer(network, name)
            if isinstance(expected, list) and name != "output_names":
                self.assertEqual([*map(id, found)], [*map(id, expected)])
            elif isinstance(expected, tuple | list):
                self.assertEqual(found, expected)
            else:
                self.assertIs(found, expected)

    def test_shapes_are_known_unless_the_network_is_subclassed(self):
        for network in (self.tiny_classifier()[0], sequential()):
            model = keras_sat.SATModel(network)
            self.assertEqual(model.input_shape, (None, 8, 8, 3))
            self.assertEqual(model.output_shape, (None, 5))
        model = keras_sat.SATModel(own_call())
        with self.assertRaisesRegex(
            AttributeError, "^'OwnCall' object has no attribute 'input_shape'$"
        ):
            model.input_shape  # noqa: B018
        self.assertFalse(hasattr(model, "inputs"))

    def test_features_are_cut_out_of_a_loaded_model(self):
        network, images, _ = self.tiny_classifier()
        path = os.path.join(self.get_temp_dir(), "model.keras")
        keras_sat.SATModel(network).save(path)
        loaded = keras_sat.load_model(path)
        inside = loaded.model.get_layer("conv").output
        features = keras.Model(loaded.input, [inside, loaded.output])
        self.assert_same_bits(features(images)[1], network(images))
