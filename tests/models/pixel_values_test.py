"""Tests of what is done to pixels in front of a pretrained network."""

import types

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat.models import pixel_values
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def network(*first):
    """Returns a network that begins with some layers."""
    convolution = keras.layers.Conv2D(4, 3)
    return keras.Sequential([keras.Input((4, 4, 3)), *first, convolution])


class PixelValuesTest(TestCase):
    def taken(self, model, normalization="auto"):
        """Returns images in `[0, 1]`, and what a network is given of them."""
        images = np.random.default_rng(0).uniform(size=(2, 4, 4, 3))
        symbol = keras.Input((4, 4, 3))
        values = pixel_values.taken_from_unit(symbol, model, normalization)
        return images, keras.Model(symbol, values)(images)

    @parameterized.parameters("caffe", "tf", "torch")
    def test_modes_are_those_of_keras_applications(self, mode):
        images, values = self.taken(network(), mode)
        expected = keras.applications.imagenet_utils.preprocess_input(
            255 * images, data_format="channels_last", mode=mode
        )
        # The largest numbers on the way are the levels.
        scale = 255.0 if mode == "caffe" else 5.0
        self.assert_same_up_to_rounding(values, expected, 10, scale=scale)

    def test_unit_images_and_levels_are_as_they_are(self):
        images, values = self.taken(network(), "unit")
        self.assert_same_bits(values, images.astype("float32"))
        images, values = self.taken(network(), "levels")
        self.assert_same_up_to_rounding(values, 255 * images, 5)

    def test_networks_that_divide_levels_are_given_levels(self):
        for layer in (
            keras.layers.Rescaling(1 / 255),
            keras.layers.Rescaling(1 / 127.5, -1.0),
            keras.layers.Normalization(mean=[120.0] * 3, variance=[3600.0] * 3),
        ):
            images, values = self.taken(network(layer))
            self.assert_same_up_to_rounding(values, 255 * images, 5)

    def test_networks_that_scale_unit_images_are_given_those(self):
        for model in (
            network(keras.layers.Rescaling(2.0, -1.0)),
            network(keras.layers.Normalization(mean=0.5, variance=0.04)),
            keras_sat.resnet(18, "silu", 5, (4, 4, 3), stem="small"),
            keras_sat.resnet(
                18,
                "silu",
                5,
                (4, 4, 3),
                stem="small",
                normalization="imagenet",
            ),
        ):
            images, values = self.taken(model)
            self.assert_same_bits(values, images.astype("float32"))

    def test_the_range_of_a_trained_model_counts(self):
        classifier = keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                keras.layers.Flatten(),
                keras.layers.Dense(5),
            ]
        )
        for low, high in ((0, 1), (-1, 1), (0, 255), (-3.0, 5.0)):
            model = keras_sat.SATModel(classifier, value_range=(low, high))
            images, values = self.taken(model)
            self.assert_same_up_to_rounding(
                values, low + (high - low) * images, 10
            )

    def test_the_converter_of_keras_hub_counts(self):
        layers = pytest.importorskip("keras_hub").layers
        levels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3))
        for options in (
            {},
            {"scale": 1 / 255},
            {"scale": [0.1, 0.2, 0.3], "offset": [-1.0, 0.5, 2.0]},
            {"offset": 3.0},
        ):
            converter = layers.ImageConverter(**options)
            model = network()
            model.preprocessor = types.SimpleNamespace(
                image_converter=converter
            )
            symbol = keras.Input((4, 4, 3))
            values = pixel_values.taken_from_unit(symbol, model, "auto")
            found = keras.Model(symbol, values)(levels / 255)
            expected = converter(levels.astype("float32"))
            self.assert_same_up_to_rounding(found, expected, 10)

    def test_what_nothing_tells_is_refused(self):
        late = [keras.layers.Conv2D(3, 1), keras.layers.Rescaling(1 / 255)]
        for model in (network(), network(*late)):
            with self.assertRaisesRegex(
                ValueError, "`normalization` must be given.*'caffe' for ResNet"
            ):
                self.taken(model)

    @parameterized.parameters(
        ("pytorch", "be one of"),
        ((0.5, 0.0), "std > 0"),
        (((0.5, 0.5), 1.0), "3 numbers"),
        (None, "pair"),
    )
    def test_other_values_are_refused(self, value, message):
        with self.assertRaisesRegex(
            ValueError, f"`normalization` must.*{message}.*Received"
        ):
            pixel_values.check(value, 3)

    def test_statistics_of_colors_are_refused_for_gray_images(self):
        with self.assertRaisesRegex(ValueError, "images with 1 channels"):
            pixel_values.check("caffe", 1)
        for normalization in ("tf", "auto", "unit", "levels"):
            pixel_values.check(normalization, 1)
