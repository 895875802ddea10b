"""Tests of ResNet and ResNeXt against the official code."""

import functools
import json
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from keras_sat import distribution
from keras_sat import models
from keras_sat.models import official_checkpoints
from tests.models import reference
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.test_case import logits_of
from tests.test_case import roundings

pytestmark = pytest.mark.numeric

COUNTS = json.loads((FIXTURES / "param_counts_resnet.json").read_text())
LARGE = {
    name
    for name, count in COUNTS.items()
    if count["depth"] > 100 or count["activation"] not in ("silu", "smoothrelu")
}
FORWARD = {
    "resnet_tiny_silu_64": "silu",
    "resnet_tiny_relu_64": "relu",
    "resnet_tiny_elu_64": "elu",
    "resnet_tiny_gelu_64": "gelu",
    "resnet_tiny_mish_64": "mish",
    "resnet_tiny_softplus_64": "softplus",
    "resnet_tiny_smoothrelu_64": "smoothrelu",
    "resnext_tiny_silu_64": "silu",
}


def tiny(fixture):
    """Builds the model that the fixture of this name was made with."""
    if fixture.startswith("resnext"):
        return reference.tiny_resnext()
    activation = FORWARD[fixture]
    learnable = activation == "smoothrelu"
    weights = "resnet-tiny-" + ("smoothrelu" if learnable else "silu")
    return reference.tiny_resnet(activation, weights)


@functools.cache
def small_resnext():
    """Returns a small network with all kinds of layers; tests share it."""
    return models.residual_network(
        (1, 3),
        (64, 128),
        "silu",
        10,
        (32, 32, 3),
        cardinality=32,
        group_width=4,
    )


def listed(name):
    """Builds a model of the list of parameter counts."""
    count = COUNTS[name]
    common = (count["depth"], count["activation"], 1000, (32, 32, 3))
    if count["group"] == 1:
        return models.resnet(*common)
    return models.resnext(*common, count["group"], count["res2_bottleneck"])


class ParameterCountTest(TestCase):
    def check(self, name):
        model, count = listed(name), COUNTS[name]
        trainable = sum(np.prod(w.shape) for w in model.trainable_weights)
        self.assertEqual(trainable, count["trainable"])
        self.assertEqual(model.count_params(), count["total"])
        self.assertLen(model.weights, count["n_vars"])
        roots = [w for w in model.weights if w.name == "root"]
        self.assertLen(roots, count["n_smoothrelu_beta"])
        self.assertLen(
            official_checkpoints.variable_names(model), count["n_vars"]
        )

    @parameterized.parameters(*sorted(set(COUNTS) - LARGE))
    def test_equals_the_official_count(self, name):
        self.check(name)

    @parameterized.parameters(*sorted(LARGE))
    @pytest.mark.large
    def test_equals_the_official_count_of_a_large_model(self, name):
        self.check(name)

    @parameterized.parameters((18, 11_689_512), (34, 21_797_672))
    def test_equals_the_usual_count_of_basic_blocks(self, depth, expected):
        model = models.resnet(depth, input_shape=(32, 32, 3))
        trainable = sum(np.prod(w.shape) for w in model.trainable_weights)
        self.assertEqual(trainable, expected)


class StemTest(TestCase):
    def build(self, **options):
        return models.residual_network(
            (1,), (4,), input_shape=(9, 9, 1), num_classes=2, **options
        )

    def test_its_strides_leave_out_positions_and_nothing_else(self):
        options = {"stem": "small", "stem_filters": 4, "block": "basic"}
        whole, half = (self.build(stem_strides=n, **options) for n in (1, 2))
        half.set_weights(whole.get_weights())
        images = np.random.default_rng(0).uniform(size=(2, 9, 9, 1))
        stems = [
            keras.Model(m.input, m.get_layer("conv0").output)(images)
            for m in (whole, half)
        ]
        self.assertAllClose(stems[1], stems[0][:, ::2, ::2], atol=1e-6)

    def test_they_are_those_of_the_small_stem(self):
        with self.assertRaisesRegex(ValueError, "`stem` must be 'small'"):
            self.build(stem_strides=2)
        with self.assertRaisesRegex(ValueError, "`stem_strides` must be at"):
            self.build(stem="small", stem_strides=0)


class OfficialCodeTest(TestCase):
    @parameterized.parameters(*FORWARD)
    def test_logits_features_and_input_gradients_are_equal(self, fixture):
        model, expected = tiny(fixture), reference.arrays(fixture)
        logits, gradient = reference.input_gradient(
            model, expected["images"], expected["labels"]
        )
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
        # Our images lie in [0, 1], those of the fixture in [-1, 1].
        error = reference.relative_error(
            gradient, 2 * expected["grad_preprocessed"]
        )
        self.assertLess(error, 1e-3 if "smoothrelu" in fixture else 1e-4)
        names = ("conv0_activation", "pool0", "pool")
        features = keras.Model(
            model.input, [model.get_layer(name).output for name in names]
        )
        conv0, pool0, pool = features(expected["images"])
        for value, key in (
            (conv0[:1, :, :, :16], "conv0"),
            (pool0[:1], "pool0"),
            (pool, "gap"),
        ):
            self.assertAllClose(value, expected[key], rtol=1e-4, atol=1e-4)

    def test_training_is_equal(self):
        model = reference.tiny_resnet()
        expected = reference.arrays("resnet_tiny_silu_64_trainmode")
        names = official_checkpoints.variable_names(model)
        before = {w.path: w.numpy() for w in model.weights}
        logits, loss, inputs, gradients = reference.train_mode(
            model, expected["images"], expected["labels"]
        )
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
        self.assertAllClose(loss, expected["loss_smooth0p1_mean"], rtol=1e-5)
        error = reference.relative_error(
            inputs, 2 * expected["grad_preprocessed"]
        )
        self.assertLess(error, 1e-3)
        self.assertLen(gradients, 62)
        for path, gradient in gradients.items():
            name = names[tuple(path.split("/"))]
            error = reference.relative_error(gradient, expected[f"grad:{name}"])
            self.assertLess(error, 1e-3, name)
        self.check_moving_statistics(model, before, names, expected)

    def check_moving_statistics(self, model, before, names, expected):
        checked = 0
        for layer in model.layers:
            if not isinstance(layer, keras.layers.BatchNormalization):
                continue
            mean, variance = layer.moving_mean, layer.moving_variance
            # The official code divides the batch variance that enters the
            # average by n - 1, Keras by n.
            n = np.prod((4, *layer.output.shape[1:3]))
            batch = (variance - 0.9 * before[variance.path]) / 0.1
            corrected = 0.9 * before[variance.path] + 0.1 * batch * n / (n - 1)
            for weight, value in ((mean, mean), (variance, corrected)):
                name = names[layer.name, weight.name]
                new = expected[f"new:{name}"]
                error = np.abs(value - new).max() / np.abs(new).max()
                self.assertLess(error, 5e-6, name)
                checked += 1
        self.assertEqual(checked, 40)

    @parameterized.parameters(False, True)
    def test_both_ways_to_convolve_groups_are_equal(self, accelerated):
        there = mock.patch.object(
            distribution, "has_accelerator", return_value=accelerated
        )
        self.enter_context(there)
        expected = reference.arrays("resnext_tiny_silu_64")
        logits = reference.tiny_resnext()(expected["images"])
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)


class ActivationTest(TestCase):
    def test_resnet50_has_49_sites_with_a_weight_each(self):
        model = models.resnet(50, activations.SmoothReLU(9.0), 10, (32, 32, 3))
        sites = [
            layer
            for layer in model.operations
            if isinstance(layer, activations.SmoothReLU)
        ]
        self.assertLen({id(site.root) for site in sites}, 49)
        for site in sites:
            self.assertAllClose(site.root, 3.0)

    @parameterized.product(
        stem=["small", "imagenet"], block=["basic", "bottleneck"]
    )
    def test_is_the_only_non_linearity(self, stem, block):
        calls = []

        def spy(x):
            calls.append(x.shape)
            return x

        model = models.residual_network(
            (1, 2), (8, 16), spy, 10, (32, 32, 3), stem, block=block
        )
        model(np.zeros((1, 32, 32, 3)))
        self.assertLen(calls, 1 + 3 * (2 if block == "basic" else 3))
        if stem == "imagenet":
            pool = model.get_layer("pool0").output
            model = keras.Model(pool, model.output)
        shape = (2, *model.input.shape[1:])
        first, second = np.random.default_rng(0).uniform(size=(2, *shape))
        mean = model((first + second) / 2)
        # Only an affine network keeps the mean of any two images.
        self.assert_same_up_to_rounding(
            mean, (model(first) + model(second)) / 2, roundings(model)
        )
        self.assertGreater(np.abs(model(first) - model(second)).max(), 1e-3)

    def test_no_relu_is_left(self):
        functions = {
            layer.activation
            for layer in small_resnext().operations
            if hasattr(layer, "activation")
        }
        self.assertEqual(
            functions, {activations.silu, keras.activations.linear}
        )
        kinds = {type(layer).__name__ for layer in small_resnext().operations}
        self.assertNoCommonElements(kinds, {"ReLU", "ReLU6", "LeakyReLU"})


class BuilderTest(TestCase):
    def test_initial_weights_are_the_official_ones(self):
        model = models.resnet(50, "silu", 1000, (32, 32, 3))
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                zero = layer.name.endswith("conv3_bn")
                self.assertAllEqual(
                    layer.gamma, np.full(layer.gamma.shape, float(not zero))
                )
        kernel = model.get_layer("group2_block1_conv2").kernel.numpy()
        std = (2 / (3 * 3 * 256)) ** 0.5
        self.assertAllClose(kernel.std(), std, rtol=0.01)
        # Truncated at two standard deviations of the untruncated normal.
        self.assertLess(np.abs(kernel).max(), 2.3 * std)
        logits = model.get_layer("logits")
        self.assertAllClose(logits.kernel.numpy().std(), 0.01, rtol=0.01)
        self.assertAllEqual(logits.bias, np.zeros(1000))

    def test_variance_of_grouped_kernels_does_not_depend_on_the_groups(self):
        kernel = small_resnext().get_layer("group1_block1_conv2").kernel.numpy()
        self.assertEqual(kernel.shape, (3, 3, 8, 256))
        self.assertAllClose(kernel.std(), (2 / (9 * 256)) ** 0.5, rtol=0.02)

    def test_two_kernels_of_the_same_shape_differ(self):
        first, second = (
            small_resnext().get_layer(f"group1_block{i}_conv2").kernel
            for i in (1, 2)
        )
        self.assertGreater(np.abs(first - second).max(), 0.01)

    def test_a_block_begins_as_the_identity_before_its_activation(self):
        model = models.resnet(18, "silu", 10, (32, 32, 3), "small")
        x, y = (
            model.get_layer(name).output
            for name in ("group0_block0_activation", "group0_block1_add")
        )
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        self.assertAllEqual(*keras.Model(model.input, [x, y])(images))

    def test_options_reach_every_normalization(self):
        model = models.resnet(
            18,
            input_shape=(32, 32, 3),
            batch_norm_momentum=0.99,
            batch_norm_epsilon=1e-3,
            synchronized=True,
        )
        found = {
            (layer.momentum, layer.epsilon, layer.synchronized)
            for layer in model.layers
            if isinstance(layer, keras.layers.BatchNormalization)
        }
        self.assertEqual(found, {(0.99, 1e-3, True)})

    def test_small_stem_keeps_the_size(self):
        model = models.resnet(18, "silu", 10, (32, 32, 3), stem="small")
        self.assertEqual(model.get_layer("pool").input.shape[1:3], (4, 4))
        model = models.resnet(18, "silu", 10, (224, 224, 3))
        self.assertEqual(model.get_layer("pool").input.shape[1:3], (7, 7))

    def test_takes_images_of_any_size(self):
        model = models.residual_network(
            (1, 1), (8, 16), "silu", 10, (None, None, 3)
        )
        for size in (32, 45):
            images = np.random.default_rng(0).uniform(size=(2, size, size, 3))
            self.assertAllInRange(model(images), -100, 100)

    @parameterized.parameters("float16", "bfloat16")
    def test_mixed_precision_gives_close_float32_logits(self, dtype):
        images = reference.arrays("resnext_tiny_silu_64")["images"]
        expected = reference.tiny_resnext()(images)
        keras.config.set_dtype_policy(f"mixed_{dtype}")
        model = reference.tiny_resnext()
        logits = logits_of(model, images)
        self.assertEqual(logits.dtype, tf.float32)
        self.assertEqual(model.get_layer("conv0").output.dtype, dtype)
        # Each layer rounds what it hands on.
        self.assert_same_up_to_rounding(
            logits, expected, len(model.layers), dtype=dtype
        )

    @parameterized.parameters("smoothrelu", "silu")
    def test_survives_saving(self, activation):
        model = models.residual_network(
            (1, 2), (8, 16), activation, 10, (32, 32, 3), cardinality=8
        )
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        loaded = reference.save_and_load(model, self.get_temp_dir())
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.parameters(
        ({"depth": 20}, "`depth` must be one of .18, 34, .*depth=20"),
        ({"depth": "50"}, "`depth` must be one of .*depth='50'"),
        ({"activation": "rely"}, "`activation` must be .*activation='rely'"),
        ({"stem": "tiny"}, "`stem` must be one of .'imagenet', .*stem='tiny'"),
        ({"num_classes": 1}, "`num_classes` must be at least 2.*classes=1"),
        ({"input_shape": (32, 32)}, r"`input_shape` must .*\(32, 32\)"),
        ({"input_shape": (0, 32, 3)}, "`input_shape` must be at least 1"),
        ({"batch_norm_momentum": 1.5}, "`batch_norm_momentum` must lie in"),
        ({"batch_norm_epsilon": 0}, "`batch_norm_epsilon` must be greater"),
        ({"block": "wide"}, "`block` must be one of .*block='wide'"),
        ({"filters": (8, 8)}, "`filters` must have one entry .*4 stages"),
        ({"cardinality": 0}, "`cardinality` must be at least 1"),
        (
            {"cardinality": 3, "group_width": 5, "filters": (4, 4, 4, 4)},
            "`group_width` must make 4 .* a multiple of cardinality=3",
        ),
        (
            {"block": "basic", "cardinality": 2},
            "`block` must be 'bottleneck' for groups. .*block='basic'",
        ),
    )
    def test_says_what_is_wrong(self, arguments, message):
        builder = models.resnet
        if {"block", "filters", "cardinality"} & set(arguments):
            builder = models.residual_network
            arguments = {"repeats": (1, 1, 1, 1), **arguments}
        with self.assertRaisesRegex(ValueError, f"{message}.*"):
            builder(**{"input_shape": (32, 32, 3), **arguments})

    @parameterized.parameters(
        ({"num_classes": "ten"}, "`num_classes` must be an integer"),
        ({"input_shape": (32, 32, None)}, "`input_shape` must be an integer"),
        ({"activation": 3}, "`activation` must be one of"),
        ({"dropuot": 3}, "dropuot"),
    )
    def test_says_what_is_of_the_wrong_kind(self, arguments, message):
        with self.assertRaisesRegex(TypeError, message):
            models.resnet(**{"input_shape": (32, 32, 3), **arguments})

    def test_resnext_has_no_basic_blocks(self):
        with self.assertRaisesRegex(
            ValueError, r"`depth` must be one of \[50, 101, 152\].*depth=18"
        ):
            models.resnext(18)
