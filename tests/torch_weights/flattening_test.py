"""Tests of finding the layers that take an image as a vector."""

import keras
import numpy as np

from keras_sat.torch_weights import flattening
from tests.test_case import TestCase

layers = keras.layers


def head():
    """Layers after a flattening, of which two take the image."""
    return [
        layers.BatchNormalization(name="bn"),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.Dense(7, name="first"),
        layers.Dense(3, name="second"),
    ]


def found(*parts, shape=(4, 5, 3)):
    """The images that are found in a sequential model, by names of layers."""
    model = keras.Sequential([keras.Input(shape), *parts])
    names = {id(layer): layer.name for layer in flattening.layers(model)}
    images = flattening.images(model)
    return {names[key]: image for key, image in images.items()}


class FlatteningTest(TestCase):
    def test_the_first_layers_after_it_are_found(self):
        expected = {"bn": (4, 5, 3), "first": (4, 5, 3)}
        self.assertEqual(found(layers.Flatten(), *head()), expected)
        self.assertEqual(found(layers.Reshape((-1,)), *head()), expected)
        self.assertEqual(
            found(layers.ReLU(), layers.Flatten(), *head()), expected
        )

    def test_a_model_may_move_its_channels_itself(self):
        permute = layers.Permute((3, 1, 2))
        self.assertEqual(found(permute, layers.Flatten(), *head()), {})

    def test_other_permutations_move_no_channels(self):
        permute = layers.Permute((2, 1, 3))
        self.assertEqual(
            found(permute, layers.Flatten(), *head())["first"], (5, 4, 3)
        )

    def test_keras_moves_the_channels_of_channels_first_to_the_end(self):
        flatten = layers.Flatten(data_format="channels_first")
        self.assertEqual(
            found(flatten, *head(), shape=(3, 4, 5))["first"], (4, 5, 3)
        )
        x = np.arange(60).reshape(1, 3, 4, 5)
        self.assertAllEqual(flatten(x), np.moveaxis(x, 1, -1).reshape(1, -1))

    def test_there_is_none_after_a_pooling_or_a_vector(self):
        pool = layers.GlobalAveragePooling2D()
        self.assertEqual(found(pool, *head()), {})
        self.assertEqual(found(layers.Flatten(), *head(), shape=(9,)), {})

    def test_flattening_and_layers_may_lie_in_nested_models(self):
        expected = {"bn": (4, 5, 3), "first": (4, 5, 3)}
        first = keras.Sequential(
            [keras.Input((4, 5, 3)), layers.ReLU(), layers.Flatten()]
        )
        self.assertEqual(found(first, *head()), expected)
        last = keras.Sequential([keras.Input((60,)), *head()])
        self.assertEqual(found(layers.Flatten(), last), expected)
        inputs = keras.Input((4, 5, 3))
        model = keras.Model(inputs, keras.Sequential([last])(first(inputs)))
        self.assertLen(flattening.images(model), 2)

    def test_layers_come_in_the_order_of_the_graph(self):
        last = keras.Sequential([keras.Input((60,)), *head()])
        model = keras.Sequential(
            [
                keras.Input((4, 5, 3)),
                layers.Conv2D(3, 1, name="conv"),
                layers.Flatten(),
                last,
                layers.Dense(2, name="third"),
            ]
        )
        self.assertEqual(
            [layer.name for layer in flattening.layers(model)],
            ["conv", "bn", "first", "second", "third"],
        )
