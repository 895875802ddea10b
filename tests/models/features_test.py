"""Tests of finding the head of a network."""

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from keras_sat.models.features import features
from tests.test_case import TestCase


def layered(*layers):
    return keras.Sequential([keras.Input((8, 8, 3)), *layers])


class FeaturesTest(TestCase):
    def images(self):
        return np.random.default_rng(0).uniform(size=(2, 8, 8, 3))

    @parameterized.parameters(None, "softmax")
    def test_a_dense_layer_and_what_follows_are_left_out(self, activation):
        layers = [
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(6, activation="tanh"),
            keras.layers.Dense(5),
            keras.layers.Activation(activation or "linear"),
        ]
        body = features("network", layered(*layers))
        x = self.images()
        for layer in layers[:3]:
            x = layer(x)
        self.assert_same_bits(body(self.images()), x)
        self.assertLen(body.weights, 4)

    def test_a_head_in_a_nested_model_is_found(self):
        inner = self.tiny_classifier()[0]
        outer = layered(keras.layers.Rescaling(2.0, -1.0), inner)
        body = features("network", outer)
        expected = features("network", inner)(2 * self.images() - 1)
        self.assertEqual(body.output_shape, (None, 8))
        self.assert_same_up_to_rounding(body(self.images()), expected)
        # The network is as before.
        self.assertEqual(outer.output_shape, (None, 5))
        self.assertLen(outer.weights, len(inner.weights))

    def test_a_convolution_of_one_pixel_is_a_head(self):
        body = features(
            "network",
            layered(
                keras.layers.Conv2D(4, 3),
                keras.layers.GlobalAveragePooling2D(keepdims=True),
                keras.layers.Conv2D(5, 1),
                keras.layers.Flatten(),
                keras.layers.Softmax(),
            ),
        )
        self.assertEqual(body.output_shape, (None, 1, 1, 4))

    def test_networks_without_a_head_are_whole(self):
        convolution = keras.layers.Conv2D(4, 3)
        for end in ([], [keras.layers.GlobalAveragePooling2D()]):
            network = layered(convolution, *end)
            self.assertIs(features("network", network), network)
        image = keras.Input((8, 8, 3))
        x = keras.layers.GlobalAveragePooling2D()(convolution(image))
        joined = keras.layers.Add()([x, x])
        network = keras.Model(image, joined)
        self.assertIs(features("network", network), network)

    def test_what_has_no_features_is_refused(self):
        image = keras.Input((8, 8, 3))
        tokens = keras.layers.Reshape((36, 4))(keras.layers.Conv2D(4, 3)(image))
        flat = keras.layers.Flatten()(image)
        two = keras.Input((8, 8, 3))
        for network, message in (
            (keras.Model(image, tokens), r"features \(batch.*\(None, 36, 4\)"),
            (
                keras.Model(image, keras.layers.Dense(5)(flat)),
                "weights in front of its head.*with none",
            ),
            (keras.Model(image, flat), "weights in front of its head"),
            (keras.Model(flat, keras.layers.Dense(5)(flat)), "take one tensor"),
            (
                keras.Model([image, two], keras.layers.Add()([image, two])),
                "take one tensor",
            ),
            (keras.Model(image, [flat, tokens]), "return one tensor"),
        ):
            with self.assertRaisesRegex(
                ValueError, f"`network` must.*{message}"
            ):
                features("network", network)
        with self.assertRaisesRegex(TypeError, "`network` must be a keras.M"):
            features("network", len)
        with self.assertRaisesRegex(TypeError, "contains one"):
            classifier = keras_sat.SATModel(self.tiny_classifier()[0])
            features("network", classifier)
