"""Tests of RandAugment, and of layers as functions of a seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.data import rand_augment
from tests import photographs
from tests.data.random_crops_test import seeds
from tests.test_case import TestCase


class RandAugmentTest(TestCase):
    @parameterized.parameters(0.3, 0.9)
    def test_randaugment_uses_all_operations_and_follows_the_seed(self, size):
        image = np.asarray(photographs.photograph(1, 24, 32), np.float32)
        policy = rand_augment.RandAugment(1, size)
        function = tf.function(policy)
        results = [function(image, seed).numpy() for seed in seeds(60)]
        again = [function(image, seed).numpy() for seed in seeds(60)]
        self.assertAllEqual(results, again)
        self.assertAllInRange(results, 0.0, 255.0)
        changed = [np.abs(result - image).max() > 1 for result in results]
        self.assertGreater(np.mean(changed), 0.7)
        self.assertEqual(results[0].shape, image.shape)

    @pytest.mark.large
    def test_a_stronger_randaugment_changes_more(self):
        image = np.asarray(photographs.photograph(1, 24, 32), np.float32)
        distances = []
        for magnitude in (0.1, 0.9):
            function = tf.function(rand_augment.RandAugment(2, magnitude))
            results = [function(image, seed).numpy() for seed in seeds(40)]
            distances.append(np.mean(np.abs(results - image)))
        self.assertGreater(distances[1], 1.3 * distances[0])

    def test_a_layer_is_a_function_of_the_seed_in_parallel_calls(self):
        mix = rand_augment.on_batch(keras.layers.MixUp(alpha=1.0))
        images = np.random.default_rng(0).uniform(0, 255, (4, 2, 2, 3))
        images = tf.constant(images, tf.float32)
        dataset = tf.data.Dataset.range(40).map(
            lambda i: mix(images, None, tf.stack([i, i]))[0],
            num_parallel_calls=4,
        )
        first, second = (np.stack(list(dataset)) for _ in range(2))
        self.assertAllEqual(first, second)
        self.assertLen({x.tobytes() for x in first}, 40)
