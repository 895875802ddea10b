"""Tests of what all networks of the package share."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import models
from keras_sat.models import blocks
from tests.models.networks import channels_first
from tests.test_case import TestCase

BUILDERS = (
    lambda **options: models.resnet(18, stem="small", **options),
    lambda **options: models.resnext(50, **options),
    lambda **options: models.residual_network((1,), (8,), **options),
    lambda **options: models.wide_resnet(10, 1, **options),
    lambda **options: models.preact_resnet(18, **options),
    lambda **options: models.convnext("tiny", **options),
    lambda **options: models.efficientnet("b0", **options),
    lambda **options: models.scaled_efficientnet(0.25, **options),
)


class SharedArgumentsTest(TestCase):
    @parameterized.product(
        builder=BUILDERS,
        wrong=(
            (ValueError, "`num_classes` must be at least 2", "num_classes", 1),
            (ValueError, "`input_shape` must be", "input_shape", (32, 32)),
            (ValueError, "`activation` must be one of", "activation", "rely"),
            (
                ValueError,
                "`batch_norm_momentum` must lie in",
                "batch_norm_momentum",
                2.0,
            ),
            (
                ValueError,
                "`batch_norm_epsilon` must be greater",
                "batch_norm_epsilon",
                0.0,
            ),
            (TypeError, "unexpected keyword.*'clases'", "clases", 10),
        ),
    )
    def test_wrong_ones_are_refused_by_every_builder(self, builder, wrong):
        error, message, name, value = wrong
        with self.assertRaisesRegex(error, message):
            builder(**{"input_shape": (32, 32, 3), name: value})

    @parameterized.parameters(*BUILDERS[2:4], BUILDERS[-1])
    def test_options_reach_every_normalization(self, builder):
        model = builder(
            input_shape=(32, 32, 3),
            batch_norm_momentum=0.99,
            batch_norm_epsilon=1e-3,
            synchronized=True,
            name="mine",
        )
        found = {
            (layer.momentum, layer.epsilon, layer.synchronized)
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        }
        self.assertEqual(found, {(0.99, 1e-3, True)})
        self.assertEqual(model.name, "mine")


class ImageFormatTest(TestCase):
    """Tests that networks do not depend on a setting of Keras for images."""

    @parameterized.parameters(
        ("resnet18", {"stem": "small"}),
        ("resnext50", {}),
        ("wide_resnet10_1", {}),
        ("efficientnet_b0", {}),
    )
    def test_networks_are_built_channels_last(self, name, options):
        options |= {"num_classes": 5, "input_shape": (16, 24, 3)}
        expected = models.get(name, **options).get_config()
        with channels_first():
            found = models.get(name, **options)
            smooth = models.convert_activations(found, "gelu")
        self.assertEqual(found.get_config(), expected)
        self.assertEqual(smooth.output_shape, (None, 5))


class GroupedConv2DTest(TestCase):
    def test_equals_the_layer_of_keras_and_is_saved_as_itself(self):
        layer = blocks.GroupedConv2D(6, 3, 2, "same", groups=3)
        images = np.random.default_rng(0).uniform(size=(2, 9, 9, 3))
        images = images.astype("float32")
        found = layer(images)
        plain = keras.layers.Conv2D(6, 3, 2, "same", groups=3)
        plain.build(images.shape)
        plain.set_weights(layer.get_weights())
        self.assertAllClose(found, plain(images), rtol=0, atol=1e-5)
        saved = keras.saving.serialize_keras_object(layer)
        again = keras.saving.deserialize_keras_object(saved)
        self.assertIsInstance(again, blocks.GroupedConv2D)

    @parameterized.parameters(31, 32)
    def test_strided_convolutions_are_padded_like_in_pytorch(self, size):
        network = blocks.NetworkBuilder(
            activation="silu",
            num_classes=2,
            input_shape=(size, size, 1),
            name="network",
        )
        inputs = keras.Input((size, size, 1))
        outputs = network.padded_conv(inputs, 1, 3, "conv", strides=2)
        model = keras.Model(inputs, outputs)
        model.get_layer("conv").kernel.assign(tf.ones((3, 3, 1, 1)))
        found = model(tf.ones((1, size, size, 1)))[0, :, :, 0]
        # A pixel of padding on each side, of which the kernel sees the first.
        self.assertEqual(found.shape[0], (size + 2 - 3) // 2 + 1)
        self.assertEqual(float(found[0, 0]), 4.0)
        self.assertEqual(float(found[1, 1]), 9.0)


class SymmetricMaxPoolingTest(TestCase):
    @parameterized.parameters(8, 9)
    def test_windows_are_centred_at_every_second_pixel(self, size):
        # All below 0, so that padding with zeros would win.
        x = np.random.default_rng(0).uniform(-2, -1, (2, size, size, 3))
        layer = blocks.SymmetricMaxPooling2D(3, 2, padding="same")
        found = layer(x.astype("float32"))
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-9)
        expected = np.max(
            [
                padded[:, i : i + size : 2, j : j + size : 2]
                for i in range(3)
                for j in range(3)
            ],
            axis=0,
        )
        self.assertAllClose(found, expected)
        self.assertEqual(found.shape, layer.compute_output_shape(x.shape))

    def test_is_an_option_of_residual_networks(self):
        model = models.resnet(18, pool_padding="symmetric")
        pool = model.get_layer("pool0")
        self.assertIsInstance(pool, blocks.SymmetricMaxPooling2D)
        with self.assertRaisesRegex(ValueError, "`pool_padding` must be one"):
            models.resnet(18, pool_padding="left")
