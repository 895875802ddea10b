"""When a network is compiled, and for whom."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import losses
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.network import compiled_network
from keras_sat.attacks.stages import attacked
from keras_sat.attacks.stages import new_stage
from tests.attacks import problems
from tests.test_case import TestCase

SEED = np.array([1, 2], "int32")


class NetworkTest(TestCase):
    def attack(self, model, count, **options):
        """Attacks a number of images by all attacks of `AutoAttack`."""
        images, labels = self.images(count)
        attack = problems.short_ensemble(epsilon=0.02)
        attack = AutoAttack(
            attacks=[
                APGD(steps=4),
                APGD(steps=4, loss="dlr", target_classes=2),
                *attack.attacks[1:],
            ],
            epsilon=0.02,
        )
        return attack(model, images, labels, SEED, **options)

    def images(self, count):
        """Returns some images with labels of five classes."""
        generator = np.random.default_rng(count)
        images = generator.uniform(size=(count, 8, 8, 3)).astype("float32")
        return images, generator.integers(0, 5, count).astype("int32")

    def test_all_attacks_share_few_compilations(self):
        model, _, _ = self.tiny_classifier()
        network = compiled_network(model)
        self.attack(model, 64)
        self.assertBetween(network.compilations, 1, 4)
        before = network.compilations
        for count in 64, 300, 7:
            self.attack(model, count)
        self.assertIs(compiled_network(model), network)
        self.assertEqual(network.compilations, before)

    @pytest.mark.large
    def test_many_images_need_no_more_compilations_than_few(self):
        model, _, _ = self.tiny_classifier()
        self.attack(model, 300)
        network = compiled_network(model)
        self.assertBetween(network.compilations, 1, 4)

    @pytest.mark.large
    def test_new_weights_are_seen_without_compiling(self):
        model, images, labels = self.tiny_classifier()
        network = compiled_network(model)
        before = network(images)
        self.attack(model, 16)
        count = network.compilations
        for variable in model.variables:
            variable.assign(0.5 * variable + 0.1)
        self.assert_same_up_to_rounding(network(images), model(images))
        self.assertNotAllClose(before, network(images))
        found = self.attack(model, 16)
        self.assertEqual(compiled_network(model).compilations, count)
        # A fresh model with these weights is attacked alike.
        fresh, _, _ = self.tiny_classifier()
        fresh.set_weights(model.get_weights())
        self.assertAllClose(found, self.attack(fresh, 16), atol=1e-4)

    def test_a_model_that_is_built_anew_is_compiled_anew(self):
        model, images, _ = self.tiny_classifier()
        network = compiled_network(model, False)
        self.assertIs(compiled_network(model, False), network)
        policy = keras.DTypePolicy("mixed_bfloat16")
        model.get_layer("conv").dtype_policy = policy
        other = compiled_network(model, False)
        self.assertIsNot(other, network)
        self.assertIs(compiled_network(model, False), other)
        self.assertIsNot(compiled_network(model, True), other)

        sequence = keras.Sequential([keras.layers.Flatten()])
        sequence.add(keras.layers.Dense(5))
        sequence(images)
        first = compiled_network(sequence, False)
        old = np.asarray(first(images))
        sequence.pop()
        sequence.add(keras.layers.Dense(4))
        sequence(images)
        second = compiled_network(sequence, False)
        self.assertIsNot(second, first)
        self.assertEqual((old.shape, second(images).shape), ((32, 5), (32, 4)))

    def test_models_and_options_have_networks_of_their_own(self):
        one, _, _ = self.tiny_classifier()
        two, _, _ = self.tiny_classifier()
        self.assertIsNot(compiled_network(one), compiled_network(two))
        self.assertIsNot(
            compiled_network(one, False), compiled_network(one, True)
        )

    @pytest.mark.large
    def test_the_cache_dies_with_the_model(self):
        model, _, _ = self.tiny_classifier()
        self.attack(model, 8)
        references = weakref.ref(model), weakref.ref(compiled_network(model))
        del model
        keras.backend.clear_session(free_memory=True)
        gc.collect()
        self.assertEqual([r() for r in references], [None, None])

    @parameterized.parameters("stopped", "rounded", "quantised")
    def test_a_missing_gradient_is_told_to_every_attack(self, kind):
        model, images, labels = self.tiny_classifier()
        function = problems.without_gradient(model)[kind]
        network = CompiledNetwork(function, jit_compile=False)
        attack = PGD(epsilon=0.01, steps=2, random_start=False)

        def run(attack):
            stage = new_stage(attack, network, 5, len(images), SEED)
            return attacked(stage, images, labels)

        with self.assertLogs("absl", "WARNING") as logs:
            found = run(attack.lenient())
        self.assertRegex(logs.output[0], "PGD-2 takes the gradient .* zero")
        self.assert_same_bits(found, images)
        for _ in range(2):
            # The function is compiled by now, and says it nevertheless.
            with self.assertRaisesRegex(ValueError, "differentiable"):
                run(attack)
        with self.assertNoLogs("absl", "WARNING"):
            # It was said before.
            self.assert_same_bits(run(attack.lenient()), images)
            silent = attack.replace(steps=3).lenient(silently=True)
            self.assert_same_bits(run(silent), images)
        self.assertEqual(network.compilations, 2)
        self.assertFalse(network.is_differentiable)

    @parameterized.parameters("cross_entropy", "margin")
    def test_functions_are_those_of_the_network(self, loss):
        model, images, labels = self.tiny_classifier()
        network = CompiledNetwork(model, jit_compile=False)
        function = losses.get(loss)
        images, labels = tf.constant(images), tf.constant(labels)
        value, logits, gradient = network.value_and_gradient(
            function, images, labels
        )
        with tf.GradientTape() as tape:
            tape.watch(images)
            expected = function(labels, model(images))
        self.assert_same_up_to_rounding(value, expected)
        self.assert_same_up_to_rounding(logits, model(images))
        self.assert_same_up_to_rounding(
            gradient, tape.gradient(expected, images)
        )
        self.assertTrue(network.is_differentiable)
