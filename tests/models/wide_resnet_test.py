"""Tests of wide residual networks."""

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat import activations
from keras_sat import models
from tests.models import networks
from tests.models import reference
from tests.test_case import TestCase
from tests.test_case import roundings

pytestmark = pytest.mark.numeric


class WideResNetTest(TestCase):
    @parameterized.parameters((28, 10, 36_479_194), (16, 4, 2_748_890))
    def test_has_the_usual_number_of_weights(self, depth, width, expected):
        model = models.wide_resnet(depth, width)
        trainable = sum(np.prod(w.shape) for w in model.trainable_weights)
        self.assertEqual(trainable, expected)
        self.assertEqual(model.name, f"wide_resnet{depth}_{width}")

    def test_activation_is_the_only_non_linearity(self):
        calls = []

        def spy(x):
            calls.append(x.shape)
            return x

        model = models.wide_resnet(16, 2, spy)
        model(np.zeros((1, 32, 32, 3)))
        self.assertLen(calls, 13)
        images = np.random.default_rng(0).uniform(size=(2, 3, 32, 32, 3))
        mean = model(images.mean(axis=0))
        self.assert_same_up_to_rounding(
            mean, (model(images[0]) + model(images[1])) / 2, roundings(model)
        )

    def test_each_site_has_a_weight_of_its_own(self):
        model = models.wide_resnet(10, 1, activations.SmoothReLU)
        roots = {id(w) for w in model.weights if w.name == "root"}
        self.assertLen(roots, 7)

    def test_downsamples_like_pytorch(self):
        # Padding by one pixel on each side keeps the centres of the pixels at
        # even places, so a shifted image gives shifted features.
        model = models.wide_resnet(10, 1, "silu", 10, (16, 16, 3))
        layer = model.get_layer("group1_block0_conv1")
        self.assertEqual(layer.padding, "valid")
        self.assertEqual(layer.input.shape[1:3], (18, 18))
        self.assertEqual(layer.output.shape[1:3], (8, 8))

    def test_downsamples_like_deepmind(self):
        model = models.wide_resnet(10, 1, "silu", padding="same")
        conv = model.get_layer("group1_block0_conv1")
        self.assertEqual((conv.padding, conv.strides), ("same", (2, 2)))
        x = np.random.default_rng(0).uniform(size=(1, 32, 32, 16))
        # By one pixel at the right and at the bottom, and none elsewhere.
        padded = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)])
        kernel = conv.kernel.numpy()
        expected = sum(
            padded[:, i : i + 32 : 2, j : j + 32 : 2] @ kernel[i, j]
            for i in range(3)
            for j in range(3)
        )
        self.assertAllClose(conv(x), expected, atol=1e-5)

    def test_zero_gamma_makes_the_blocks_begin_as_the_identity(self):
        model = models.wide_resnet(16, 1, zero_gamma=True)
        names = ("group0_block0_add", "group0_block1_add")
        self.assertAllEqual(*networks.outputs_of(model, names))

    def test_dropout_acts_in_training_only(self):
        model = models.wide_resnet(10, 1, dropout=0.5)
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        self.assertAllEqual(model(images), model(images))
        first, second = (model(images, training=True) for _ in range(2))
        self.assertGreater(np.abs(first - second).max(), 1e-4)

    def test_survives_saving(self):
        model = models.wide_resnet(10, 1, "smoothrelu", dropout=0.1)
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        loaded = reference.save_and_load(model, self.get_temp_dir())
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.parameters(
        ({"depth": 26}, "`depth` must be 10, 16, 22, .*depth=26"),
        ({"width": 0}, "`width` must be at least 1.*width=0"),
        ({"dropout": 1.5}, "`dropout` must lie in .*dropout=1.5"),
        ({"num_classes": 0}, "`num_classes` must be at least 2"),
        ({"activation": "rely"}, "`activation` must be one of .*'rely'"),
    )
    def test_says_what_is_wrong(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            models.wide_resnet(**{"depth": 10, "width": 1, **arguments})
