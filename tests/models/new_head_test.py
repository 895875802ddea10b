"""Tests of networks with a head for other classes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.models import with_new_head
from keras_sat.models.new_head import FREEZES
from tests.test_case import TestCase
from tests.test_case import available

pytestmark = pytest.mark.numeric


class WithNewHeadTest(TestCase):
    def pretrained(self, activation="relu"):
        """Returns a network that divides levels, and its layers."""
        layers = [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation=activation),
            keras.layers.BatchNormalization(epsilon=0.01),
        ]
        end = [keras.layers.GlobalMaxPooling2D(), keras.layers.Dense(7)]
        network = keras.Sequential([keras.Input((6, 6, 3)), *layers, *end])
        generator = np.random.default_rng(0)
        for variable in network.weights:
            variable.assign(generator.uniform(0.2, 1.0, variable.shape))
        return network, layers

    def images(self):
        generator = np.random.default_rng(1)
        return generator.uniform(size=(3, 6, 6, 3)).astype("float32")

    def build(self, network, **options):
        options = {"print_fn": lambda line: None} | options
        return with_new_head(network, 5, **options)

    @parameterized.parameters(True, False)
    def test_logits_are_those_of_the_kept_layers(self, pooled):
        network, layers = self.pretrained()
        before = network.get_weights()
        if not pooled:
            network = keras.Model(network.inputs[0], layers[-1].output)
        model = self.build(network)
        kernel, bias = model.get_layer("logits").get_weights()
        images = self.images()
        x = keras.activations.silu(
            keras.ops.conv(images, layers[1].kernel) + layers[1].bias
        )
        x = np.array(layers[2](x))
        x = x.max((1, 2)) if pooled else x.mean((1, 2))
        self.assert_same_up_to_rounding(model(images), x @ kernel + bias)
        # Nothing of the pretrained network has changed.
        self.assertIs(layers[1].activation, keras.activations.relu)
        after = self.pretrained()[0].get_weights()
        self.assert_same_bits(before, after)

    def test_it_is_a_classifier_that_is_saved_and_loaded(self):
        path = self.get_temp_dir() + "/model.keras"
        for options in ({}, {"normalization": "caffe"}):
            model = keras_sat.SATModel(
                self.build(self.pretrained()[0], **options)
            )
            model.save(path)
            loaded = keras_sat.load_model(path)
            images = self.images()
            self.assert_same_bits(loaded(images), model(images))

    def trained(self, model):
        """Trains all that may be trained; returns weights before and after."""
        images, labels = self.images(), np.arange(3)
        model = keras_sat.SATModel(model)
        before = {v.path: np.array(v) for v in model.model.weights}
        model.fit(images, labels, verbose=0)
        after = {v.path: np.array(v) for v in model.model.weights}
        return {k for k in before if np.any(before[k] != after[k])}, set(before)

    def test_training_changes_what_is_not_frozen(self):
        found = {}
        for freeze in FREEZES:
            model = self.build(self.pretrained()[0], freeze=freeze)
            changed, everything = self.trained(model)
            found[freeze] = changed
            self.assertLen(everything, len(model.weights))
        names = {k: {p.split("/")[-1] for p in v} for k, v in found.items()}
        self.assertEqual(names["backbone"], {"kernel", "bias"})
        self.assertLen(found["backbone"], 2)
        self.assertLen(found["normalization"], 4)
        self.assertEqual(names["normalization"], {"kernel", "bias"})
        # `standardize` has two weights that are never trained.
        self.assertLen(found["nothing"], len(model.weights) - 2)

    def test_weights_have_one_order_however_they_are_frozen(self):
        networks = [
            self.build(self.pretrained()[0], freeze=freeze)
            for freeze in FREEZES
        ]
        names = [[v.path.split("/")[-1] for v in n.weights] for n in networks]
        self.assertEqual(names[0], names[1])
        self.assertEqual(names[0], names[2])
        networks[0].set_weights(networks[2].get_weights())
        images = self.images()
        self.assert_same_bits(networks[0](images), networks[2](images))

    @parameterized.parameters("mixed_bfloat16", "float32")
    def test_layers_follow_the_policy_and_pixels_do_not(self, policy):
        policy = available(policy)
        network, _ = self.pretrained()
        expected = self.build(network)(self.images())
        before = keras.config.dtype_policy()
        self.addCleanup(keras.config.set_dtype_policy, before)
        keras.config.set_dtype_policy(policy)
        model = self.build(network)
        model.layers[-1].set_weights(
            self.build(network).layers[-1].get_weights()
        )
        dtypes = {
            type(layer).__name__: layer.compute_dtype
            for layer in model._flatten_layers()
        }
        half = policy.removeprefix("mixed_")
        for name in ("Conv2D", "BatchNormalization"):
            self.assertEqual(dtypes[name], half)
        for name in ("Rescaling", "Standardization", "Dense"):
            self.assertEqual(dtypes[name], "float32")
        self.assertEqual(model.layers[-1].kernel.dtype, "float32")
        self.assertEqual(expected.shape, model(self.images()).shape)

    def test_classifiers_of_keras_applications_are_taken(self):
        network = keras.applications.MobileNetV3Small(
            weights=None, input_shape=(32, 32, 3), classes=7
        )
        model = self.build(network)
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        self.assertEqual(model(images).shape, (2, 5))
        names = {name for _, name in keras_sat.activation_sites(model)}
        self.assertNotIn("relu", names)
        self.assertNotIn("hard_silu", names)
        keras_sat.SATModel(model)

    def test_classifiers_of_keras_hub_are_taken_with_their_preprocessor(self):
        hub = pytest.importorskip("keras_hub")
        backbone = hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[3],
            stackwise_num_filters=[64],
            stackwise_num_blocks=[1],
            stackwise_num_strides=[1],
            block_type="basic_block",
            image_shape=(16, 16, 3),
        )
        converter = hub.layers.ResNetImageConverter(
            scale=[0.01, 0.02, 0.03], offset=[-0.5, 0.0, 1.0]
        )
        preprocessor = hub.models.ResNetImageClassifierPreprocessor(converter)
        network = hub.models.ResNetImageClassifier(
            backbone, 7, preprocessor=preprocessor, activation="softmax"
        )
        model = self.build(network, activation="relu")
        levels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3))
        features = keras.Model(
            network.inputs[0], network.get_layer("predictions").input
        )
        kernel, bias = model.get_layer("logits").get_weights()
        expected = features(converter(levels.astype("float32")))
        self.assert_same_up_to_rounding(
            model(levels / 255), expected @ kernel + bias, 500
        )

    def test_what_cannot_be_trained_is_refused(self):
        network, _ = self.pretrained()
        for options, message in (
            ({"freeze": "all"}, "`freeze` must be one of"),
            ({"normalization": "other"}, "`normalization` must"),
            ({"input_shape": (6, 6, 1)}, r"`input_shape` must.*\(6, 6, 3\)"),
            ({"input_shape": (8, 8, 3)}, "`input_shape` must be that of"),
            ({"momentum": 2}, "`momentum` must"),
            ({"activation": "unknown"}, "`activation` must"),
        ):
            with self.assertRaisesRegex(ValueError, f"{message}.*Received"):
                self.build(network, **options)
        with self.assertRaisesRegex(ValueError, "`num_classes` must.*1"):
            with_new_head(network, 1)
        network.trainable = False
        with self.assertRaisesRegex(
            ValueError, "weights that may be trained.*all are frozen.*trainable"
        ):
            self.build(network)
        self.assertLen(
            self.build(network, freeze="backbone").trainable_variables, 2
        )

    def test_what_is_frozen_in_part_remains_so(self):
        network, layers = self.pretrained()
        layers[1].trainable = False
        trainable = self.build(network).trainable_variables
        self.assertLen(trainable, 4)
        self.assertNotIn("conv", "".join(v.path for v in trainable))

    def test_subclassed_networks_are_refused(self):
        class Own(keras.Model):
            def call(self, images):
                return tf.reduce_mean(images, (1, 2))

        network = Own()
        network(self.images())
        with self.assertRaisesRegex(ValueError, "`network` must be functional"):
            self.build(network)
