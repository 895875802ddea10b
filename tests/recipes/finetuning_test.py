"""Tests of recipes that begin with a pretrained network."""

import functools
import json
import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import recipes
from keras_sat.recipes import training_run
from tests.test_case import TestCase


def pretrained(channels=3, size=8, seed=0):
    """Returns a network with ReLU that takes images in `[0, 1]`."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((size, size, channels)),
            keras.layers.Rescaling(2.0, -1.0),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(6, activation="softmax"),
        ]
    )


class FineTuneTest(TestCase):
    def test_the_values_of_a_robust_start_are_those_of_the_source(self):
        recipe = recipes.finetune(pretrained(), "robust")
        self.assertEqual(
            (recipe.epochs, recipe.batch_size, recipe.weight_decay),
            (5, 128, 5e-4),
        )
        self.assertIsNone(recipe.attack_schedule(10))
        rate = recipe.schedule(steps_per_epoch=10)
        for step, share in ((0, 1.0), (25, 0.5), (50, 0.0)):
            self.assertAllClose(float(rate(step)), 1e-3 * share, atol=1e-9)
        model = recipe.model(num_classes=3)
        recipe.compile(model, 10)
        self.assertTrue(model.optimizer.nesterov)
        self.assertEqual(model.optimizer.momentum, 0.9)

    def test_rate_and_radius_of_a_clean_start_rise_from_zero(self):
        recipe = recipes.finetune(pretrained(), batch_size=64)
        rate = recipe.schedule(steps_per_epoch=10)
        epsilon = recipe.attack_schedule(10).epsilon
        for step, share, size in ((0, 0, 0), (5, 0.5, 0.1), (50, None, 1)):
            if share is not None:
                self.assertAllClose(float(rate(step)), 0.005 * share)
            self.assertAllClose(float(epsilon(step)), size)

    def test_sizes_are_those_of_the_network(self):
        recipe = recipes.finetune(pretrained(channels=1, size=14))
        self.assertEqual(recipe.image_shape, (14, 14, 1))
        self.assertEqual(recipe.data_options["image_size"], 14)
        self.assertEqual(recipe.crop_padding, 2)
        self.assertEqual(
            recipe.model(num_classes=3).model.input_shape, (None, 14, 14, 1)
        )
        network = pretrained(size=None)
        with self.assertRaisesRegex(ValueError, "`image_size` must be given"):
            recipes.finetune(network)
        recipe = recipes.finetune(network, image_size=16)
        self.assertEqual(recipe.image_shape, (16, 16, 3))

    @parameterized.parameters(".keras", "SATModel.keras")
    def test_a_file_does_what_its_network_does(self, name):
        network, path = pretrained(), pathlib.Path(self.get_temp_dir(), name)
        if name != ".keras":
            converted = keras_sat.convert_activations(
                network, "silu", remove_softmax=True
            )
            network = keras_sat.SATModel(converted, value_range=(-1.0, 1.0))
        network.save(path)
        recipe = recipes.finetune(path, freeze="normalization")
        config = json.loads(json.dumps(recipe.get_config()))
        again = type(recipe)(**config)
        self.assertEqual(again, recipe)
        config = keras.saving.serialize_keras_object(recipe)
        self.assertEqual(keras.saving.deserialize_keras_object(config), recipe)
        images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
        models = [
            one.model(num_classes=3)
            for one in (again, recipes.finetune(network))
        ]
        # Only the heads are new.
        heads = [model.model.get_layer("logits") for model in models]
        heads[0].set_weights(heads[1].get_weights())
        self.assert_same_bits(*(model(images) for model in models))

    def test_activations_and_head_are_those_asked_for(self):
        recipe = recipes.finetune(pretrained(), activation="gelu")
        network = recipe.model(num_classes=3).model
        self.assertEqual(
            [name for _, name in keras_sat.activation_sites(network)], ["gelu"]
        )
        self.assertEqual(network.output_shape, (None, 3))

    def test_a_head_alone_is_trained_on_images_as_strong_as_at_the_start(self):
        fields = {"head_epochs": 2, "epochs": 3}
        stages = recipes.finetune(pretrained(), "robust", **fields).stages
        self.assertEqual(list(stages), ["head", ""])
        head = stages["head"]
        self.assertEqual((head.epochs, head.steps), (2, 3))
        self.assertIsNone(head.attack_schedule(10))
        self.assertLen(head.model(num_classes=3).trainable_variables, 2)
        recipe = recipes.finetune(
            pretrained(), epsilon_warmup_epochs=1.0, **fields
        )
        head = recipe.stages["head"]
        for step in (0, 10, 1000):
            scale = head.attack_schedule(10).scale(tf.constant(step))
            self.assertEqual(float(scale["epsilon"]), 0)
        self.assertEqual(recipe.stages[""], recipe)
        self.assertEqual(list(recipes.cifar10().stages), [""])

    def test_wrong_arguments_are_refused(self):
        network = pretrained()
        for options, message in (
            ({"start": "warm"}, "`start` must be one of"),
            ({"freeze": "all"}, "`freeze` must be one of"),
            ({"normalization": "x"}, "`normalization` must be one of"),
            ({"head_epochs": -1}, "`head_epochs` must be at least 0"),
            ({"image_size": 16}, "`input_shape` must be that of"),
            ({"epochs": 1}, "`warmup_epochs` must be less than"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                recipes.finetune(network, **options)
        with self.assertRaisesRegex(TypeError, "`network` must be a keras.M"):
            recipes.finetune(3)
        with self.assertRaisesRegex(ValueError, "`path` must be a `.keras`"):
            recipes.finetune("resnet50")
        with self.assertRaisesRegex(TypeError, "`network` must be the path"):
            recipes.finetune(network).get_config()
        flat = [keras.layers.Flatten(), keras.layers.Dense(3)]
        linear = keras.Sequential([keras.Input((8, 8, 3)), *flat])
        with self.assertRaisesRegex(ValueError, "`network` must have weights"):
            recipes.finetune(linear)


class TrainTest(TestCase):
    def setUp(self):
        super().setUp()
        attack = keras_sat.PGD(epsilon=4 / 255, steps=1)
        weak = functools.partial(
            keras_sat.evaluate_robustness, attacks=attack, diagnose=False
        )
        self.enter_context(
            mock.patch.object(training_run, "evaluate_robustness", weak)
        )
        self.use_deterministic_ops()

    def train(self, directory, channels=1, **changes):
        """Fine-tunes to the digits; returns the weights of the best epoch."""
        recipe = recipes.finetune(
            pretrained(channels=1),
            "robust",
            epochs=2,
            head_epochs=2,
            batch_size=256,
            **changes,
        )
        train_ds, test_ds = keras_sat.data.digits(256, 8, channels)
        keras.utils.set_random_seed(2)
        model, report = recipes.train(
            *(recipe, train_ds, test_ds, directory),
            report_images=4,
            verbose=0,
        )
        self.assertEqual(report.num_images, 4)
        return model.model.get_weights()

    @pytest.mark.large
    def test_an_interrupted_run_goes_on_to_the_same_weights(self):
        folder = pathlib.Path(self.get_temp_dir())
        expected = self.train(folder / "whole")
        first = pretrained(channels=1).get_weights()
        self.assertNotAllClose(expected[0], first[0])
        with (
            mock.patch.object(
                training_run.callbacks, "standard", side_effect=KeyError
            ),
            self.assertRaises(KeyError),
        ):
            self.train(folder / "parts")
        self.assertFalse((folder / "parts" / "best.keras").exists())
        found = self.train(folder / "parts")
        self.assert_same_bits(found, expected)

    @pytest.mark.large
    def test_the_head_is_trained_first(self):
        seen, saving = {}, training_run._saving

        def noted(model, test_ds, directory, folder, options):
            seen[folder] = model, model.model.get_weights()
            return saving(model, test_ds, directory, folder, options)

        with mock.patch.object(training_run, "_saving", noted):
            self.train(self.get_temp_dir())
        model, before = seen["head"]
        after = model.model.get_weights()
        *kept, kernel, bias = after
        self.assert_same_bits(kept, before[:-2])
        self.assert_same_bits(kept, pretrained(channels=1).get_weights()[:6])
        self.assertNotAllClose(kernel, before[-2])
        # All weights go on from there.
        self.assert_same_bits(seen[""][1], after)
        changed = seen[""][0].model.get_weights()
        self.assertNotAllClose(changed[0], after[0])

    def test_pictures_with_other_channels_are_refused(self):
        with self.assertRaisesRegex(
            ValueError, r"`input_shape` must be that.*\(8, 8, 1\).*8, 8, 3"
        ):
            self.train(self.get_temp_dir(), channels=3)
