"""Tests of `keras_sat.models.get`."""

import contextlib

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from keras_sat import data
from keras_sat import models
from tests.test_case import TestCase

OPTIONS = {"num_classes": 4, "input_shape": (32, 32, 3)}


class NamedTest(TestCase):
    @parameterized.parameters(
        ("resnet18", lambda: keras_sat.resnet(18, **OPTIONS)),
        ("resnext50", lambda: keras_sat.resnext(50, **OPTIONS)),
        ("wide_resnet10_2", lambda: keras_sat.wide_resnet(10, 2, **OPTIONS)),
        ("efficientnet_b1", lambda: keras_sat.efficientnet("b1", **OPTIONS)),
    )
    def test_a_name_is_a_call_of_the_builder(self, name, build):
        model, expected = keras_sat.models.get(name, **OPTIONS), build()
        self.assertEqual(model.name, expected.name)
        self.assertEqual(
            [v.shape for v in model.variables],
            [v.shape for v in expected.variables],
        )

    def test_options_reach_the_builder(self):
        model = keras_sat.models.get(
            "efficientnet_l1",
            activation="gelu",
            width_coefficient=0.1,
            depth_coefficient=0.1,
            **OPTIONS,
        )
        self.assertLess(model.count_params(), 100_000)
        self.assertEqual(
            {kind for _, kind in keras_sat.activation_sites(model)},
            {"gelu", "sigmoid"},
        )

    @parameterized.parameters("resnet", "resnet50v2", "vgg16", "efficientnet")
    def test_an_unknown_name_is_refused(self, name):
        with self.assertRaisesRegex(
            ValueError, f"`name` must be like 'resnet50'.*name='{name}'"
        ):
            keras_sat.models.get(name)

    def test_an_unknown_depth_is_refused_by_the_builder(self):
        with self.assertRaisesRegex(ValueError, "`depth` must be one of"):
            keras_sat.models.get("resnet51")


class ImageFormatTest(TestCase):
    """Keras's setting for images says nothing about these networks."""

    @contextlib.contextmanager
    def channels_first(self):
        keras.config.set_image_data_format("channels_first")
        try:
            yield
        finally:
            keras.config.set_image_data_format("channels_last")

    @parameterized.parameters(
        ("resnet18", {"stem": "small"}),
        ("resnext50", {}),
        ("wide_resnet10_1", {}),
        ("efficientnet_b0", {}),
    )
    def test_networks_are_built_channels_last(self, name, options):
        options |= {"num_classes": 5, "input_shape": (16, 24, 3)}
        expected = models.get(name, **options).get_config()
        with self.channels_first():
            found = models.get(name, **options)
            smooth = models.convert_activations(found, "gelu")
        self.assertEqual(found.get_config(), expected)
        self.assertEqual(smooth.output_shape, (None, 5))

    def test_images_are_augmented_channels_last(self):
        image = np.random.default_rng(0).uniform(0, 255, (8, 12, 3))
        image = image.astype("float32")
        augmentation = data.Augmentation(erasing=1.0, randaugment=2)
        expected = augmentation.color_function()
        with self.channels_first():
            function = augmentation.color_function()
            found = [function(image, (i, 1)) for i in range(12)]
        for i, changed in enumerate(found):
            self.assertAllEqual(changed, expected(image, (i, 1)))
