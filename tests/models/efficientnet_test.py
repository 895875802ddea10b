"""Tests of EfficientNet against the official code."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import activations
from keras_sat import models
from keras_sat.models import official_checkpoints
from keras_sat.models.efficientnet import VARIANTS
from keras_sat.models.efficientnet import scale
from tests.models import reference
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.test_case import logits_of

pytestmark = pytest.mark.numeric

COUNTS = json.loads((FIXTURES / "param_counts_efficientnet.json").read_text())
LARGE = ("b5", "b6", "b7", "b8", "l1", "l2")
SHORTCUTS = (2, 4, 6, 7, 9, 10, 12, 13, 14)


@functools.cache
def b0():
    """Returns the smallest variant. Tests share it and must not change it."""
    return models.efficientnet("b0", "mish", 1000, (32, 32, 3))


@functools.cache
def tiny():
    """Returns the model of the fixtures. Tests must not change it."""
    return reference.tiny_efficientnet()


def count_of(variant):
    """Returns the entry of a variant in the list of parameter counts."""
    names = (f"efficientnet-{variant}", f"efficientnet-b{variant.upper()}")
    (name,) = (name for name in names if name in COUNTS)
    return COUNTS[name]


class ParameterCountTest(TestCase):
    def check(self, variant):
        count = count_of(variant)
        model = models.efficientnet(variant, input_shape=(32, 32, 3))
        trainable = sum(np.prod(w.shape) for w in model.trainable_weights)
        self.assertEqual(trainable, count["trainable"])
        self.assertEqual(model.count_params(), count["total"])
        self.assertLen(model.weights, count["n_vars"])
        self.assertLen(
            official_checkpoints.variable_names(model), count["n_vars"]
        )
        self.assertEqual(model.get_layer("dropout").rate, count["dropout"])
        size = VARIANTS[variant][2]
        self.assertEqual(size, count["resolution"])

    @parameterized.parameters(*sorted(set(VARIANTS) - {*LARGE}))
    def test_equals_the_official_count(self, variant):
        self.check(variant)

    @parameterized.parameters(*LARGE)
    @pytest.mark.large
    def test_equals_the_official_count_of_a_large_model(self, variant):
        self.check(variant)

    def test_every_listed_model_is_a_variant(self):
        listed = {name.lower()[len("efficientnet-") :] for name in COUNTS}
        variants = set(VARIANTS)
        self.assertLen(variants, 11)
        self.assertContainsSubset(variants - {"l1"}, listed)


class OfficialCodeTest(TestCase):
    def test_logits_features_and_input_gradients_are_equal(self):
        model = tiny()
        expected = reference.arrays("efficientnet_tiny_w025_64")
        logits, gradient = reference.input_gradient(
            model, expected["images"], expected["labels"]
        )
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
        error = reference.relative_error(
            gradient, 2 * expected["grad_preprocessed"]
        )
        self.assertLess(error, 1e-4)

    def test_every_block_is_equal(self):
        model = tiny()
        images = reference.arrays("efficientnet_tiny_w025_64")["images"]
        expected = reference.arrays("efficientnet_tiny_w025_64_endpoints")
        layers = {layer.name for layer in model.layers}
        places = {
            "stem": "stem_activation",
            "head_1x1": "head_activation",
            "pooled_features": "pool",
            "head": "logits",
        }
        for i in range(16):
            end = "add" if f"block{i}_add" in layers else "project_bn"
            places[f"block_{i}"] = f"block{i}_{end}"
        outputs = {
            key: model.get_layer(name).output for key, name in places.items()
        }
        features = keras.Model(model.input, outputs)(images)
        for key, value in features.items():
            self.assertAllClose(value, expected[key], rtol=1e-4, atol=1e-4)

    def test_training_is_equal(self):
        model = reference.tiny_efficientnet()
        expected = reference.arrays("efficientnet_tiny_w025_64_trainmode")
        names = official_checkpoints.variable_names(model)
        logits, loss, inputs, gradients = reference.train_mode(
            model, expected["images"], expected["labels"]
        )
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
        self.assertAllClose(loss, expected["loss_smooth0p1_mean"], rtol=1e-5)
        error = reference.relative_error(
            inputs, 2 * expected["grad_preprocessed"]
        )
        self.assertLess(error, 1e-3)
        scope = "efficientnet-b0/"
        largest = max(np.linalg.norm(g) for g in gradients.values())
        zeros = 0
        self.assertLen(gradients, 213)
        for path, gradient in gradients.items():
            official = expected[f"grad:{scope}{names[tuple(path.split('/'))]}"]
            if path.endswith("project_bn/beta"):
                # The next normalization removes this shift again.
                self.assertLess(np.linalg.norm(gradient), 1e-5 * largest)
                zeros += 1
                continue
            error = reference.relative_error(gradient, official)
            self.assertLess(error, 1e-3, path)
        self.assertEqual(zeros, 16)
        for weight in model.non_trainable_weights:
            name = scope + names[tuple(weight.path.split("/"))]
            new = expected[f"new:{name}"]
            error = np.abs(weight - new).max() / np.abs(new).max()
            self.assertLess(error, 5e-6, name)


class ActivationTest(TestCase):
    def test_b0_has_49_sites_with_a_weight_each(self):
        model = models.efficientnet("b0", "smoothrelu", 10, (32, 32, 3))
        roots = {id(w) for w in model.weights if w.name == "root"}
        self.assertLen(roots, 49)

    def test_nothing_but_the_activation_and_the_gates_is_left(self):
        model = b0()
        found = {}
        for layer in model.operations:
            function = getattr(layer, "activation", keras.activations.linear)
            found.setdefault(function, []).append(layer.name)
        self.assertEqual(
            set(found),
            {
                activations.mish,
                keras.activations.sigmoid,
                keras.activations.linear,
            },
        )
        self.assertLen(found[activations.mish], 49)
        self.assertLen(found[keras.activations.sigmoid], 16)
        kinds = {type(layer).__name__ for layer in model.operations}
        self.assertNoCommonElements(kinds, {"ReLU", "ReLU6", "LeakyReLU"})

    def test_reaches_stem_and_squeeze_and_excitation(self):
        names = {layer.name for layer in b0().operations}
        self.assertContainsSubset(
            {"stem_activation", "block3_se_reduce_activation"}, names
        )


class StochasticDepthTest(TestCase):
    def test_rates_rise_linearly_where_there_is_a_shortcut(self):
        model = b0()
        rates = {
            layer.name: layer.rate
            for layer in model.layers
            if layer.name.endswith("_drop")
        }
        self.assertEqual(
            rates, {f"block{i}_drop": 0.2 * i / 16 for i in SHORTCUTS}
        )

    def test_leaves_a_block_out_for_some_of_the_images(self):
        model = models.scaled_efficientnet(
            stages=((2, 3, 1, 6, 32),), stochastic_depth=1.0
        )
        layer = model.get_layer("block1_drop")
        values = np.random.default_rng(0).uniform(1, 2, size=(200, 2, 2, 8))
        values = values.astype("float32")
        self.assertAllEqual(layer(values, training=False), values)
        dropped = layer(values, training=True) / values
        kept = dropped[:, 0, 0, 0]
        self.assertAllClose(
            dropped, tf.broadcast_to(kept[:, None, None, None], values.shape)
        )
        self.assertAllClose(sorted(set(np.round(kept, 4))), [0.0, 2.0])
        self.assertBetween(np.mean(kept), 0.7, 1.3)

    def test_can_be_switched_off(self):
        model = models.scaled_efficientnet(
            stages=((2, 3, 1, 6, 32),), stochastic_depth=0.0, dropout=0.0
        )
        kinds = {type(layer) for layer in model.layers}
        self.assertNotIn(keras.layers.Dropout, kinds)


class BuilderTest(TestCase):
    def test_input_has_the_resolution_of_the_variant(self):
        self.assertEqual(
            models.efficientnet("b1").input_shape, (None, 240, 240, 3)
        )

    @parameterized.parameters(
        (32, 0.25, 8),
        (16, 1.1, 16),
        (40, 1.2, 48),
        (192, 4.3, 824),
        (24, 0.25, 8),
        (32, 3.9, 128),
        (80, 3.9, 312),
        (1280, 4.3, 5504),
    )
    def test_channels_are_rounded_like_in_the_official_code(
        self, filters, coefficient, expected
    ):
        self.assertEqual(scale(filters, coefficient), expected)

    def test_initial_weights_are_the_official_ones(self):
        model = b0()
        depthwise = model.get_layer("block13_depthwise").kernel.numpy()
        self.assertAllClose(depthwise.std(), 2**0.5 / 5, rtol=0.02)
        expand = model.get_layer("block13_expand").kernel.numpy()
        std = (2 / expand.shape[-1]) ** 0.5
        self.assertAllClose(expand.std(), std, rtol=0.01)
        # Not truncated.
        self.assertGreater(np.abs(expand).max(), 3 * std)
        logits = model.get_layer("logits")
        self.assertAllClose(np.abs(logits.kernel).max(), 1000**-0.5, rtol=0.001)
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                self.assertAllEqual(layer.gamma, np.ones(layer.gamma.shape))
                self.assertEqual((layer.momentum, layer.epsilon), (0.9, 1e-5))

    def test_zero_gamma_makes_blocks_begin_as_the_identity(self):
        model = models.scaled_efficientnet(
            input_shape=(32, 32, 3),
            stages=((1, 3, 1, 6, 16), (2, 3, 2, 6, 24)),
            zero_gamma=True,
        )
        x, y = (
            model.get_layer(name).output
            for name in ("block1_project_bn", "block2_add")
        )
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        x, y = keras.Model(model.input, [x, y])(images)
        self.assertAllEqual(x, y)
        self.assertGreater(np.abs(x).max(), 0.01)

    @parameterized.parameters("float16", "bfloat16")
    def test_mixed_precision_gives_close_float32_logits(self, dtype):
        images = reference.arrays("efficientnet_tiny_w025_64")["images"]
        expected = tiny()(images)
        keras.config.set_dtype_policy(f"mixed_{dtype}")
        model = reference.tiny_efficientnet()
        logits = logits_of(model, images)
        self.assertEqual(logits.dtype, tf.float32)
        self.assertEqual(model.get_layer("stem").output.dtype, dtype)
        # Each layer rounds what it hands on.
        self.assert_same_up_to_rounding(
            logits, expected, len(model.layers), dtype=dtype
        )

    def test_survives_saving(self):
        model = models.scaled_efficientnet(
            activation="smoothrelu",
            num_classes=10,
            input_shape=(32, 32, 3),
            stages=((1, 3, 1, 1, 16), (2, 5, 2, 6, 24)),
        )
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        loaded = reference.save_and_load(model, self.get_temp_dir())
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.parameters(
        ({"variant": "b9"}, "`variant` must be one of .'b0', .*variant='b9'"),
        ({"variant": 0}, "`variant` must be one of .*variant=0"),
        ({"activation": "rely"}, "`activation` must be .*activation='rely'"),
        ({"num_classes": 0}, "`num_classes` must be at least 2"),
        ({"input_shape": 32}, "`input_shape` must be .*input_shape=32"),
        ({"dropout": -0.1}, "`dropout` must lie in .*dropout=-0.1"),
        ({"stochastic_depth": 2}, "`stochastic_depth` must lie in .*=2"),
        ({"batch_norm_epsilon": -1}, "`batch_norm_epsilon` must be greater"),
    )
    def test_says_what_is_wrong(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            models.efficientnet(**arguments)

    @parameterized.parameters(
        ((0.0, 1.0), "`width_coefficient` must be greater than 0"),
        ((1.0, -1.0), "`depth_coefficient` must be greater than 0"),
    )
    def test_says_which_coefficient_is_wrong(self, coefficients, message):
        with self.assertRaisesRegex(ValueError, message):
            models.scaled_efficientnet(*coefficients)
