"""Tests of updates that replicas make together.

`replicated_model_test.py` compares several replicas with one.
"""

import keras
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.training import replica_updates
from tests.test_case import TestCase


class CheckOptimizerTest(TestCase):
    @parameterized.parameters(
        ({"gradient_accumulation_steps": 2}, "Use a larger batch"),
        (
            {"use_ema": True, "ema_overwrite_frequency": 3},
            "Use plain `use_ema=True`",
        ),
    )
    def test_what_keras_does_wrong_is_refused_on_several(self, options, fix):
        name, value = list(options.items())[-1]
        optimizer = keras.optimizers.SGD(0.1, **options)
        replica_updates.check_optimizer(optimizer, 1)
        with self.assertRaisesRegex(
            ValueError,
            f"`{name}` must be None on several replicas. Received: {name}="
            f"{value}. {fix}",
        ):
            replica_updates.check_optimizer(optimizer, 2)

    @parameterized.parameters("clipnorm", "global_clipnorm", "clipvalue")
    def test_a_loss_scale_and_clipping_are_refused_together(self, name):
        clipped = keras.optimizers.SGD(0.1, **{name: 1.0})
        replica_updates.check_optimizer(clipped, 2)
        scaled = keras.optimizers.LossScaleOptimizer(clipped)
        replica_updates.check_optimizer(scaled, 1)
        with self.assertRaisesRegex(
            ValueError, f"`{name}` must be None .*=1.0. .* Use bfloat16"
        ):
            replica_updates.check_optimizer(scaled, 2)

    def test_other_optimizers_are_accepted(self):
        for optimizer in (
            None,
            keras.optimizers.AdamW(),
            keras.optimizers.SGD(use_ema=True),
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        ):
            replica_updates.check_optimizer(optimizer, 8)


class GradientsTest(TestCase):
    """Tests on the one replica of the default strategy."""

    def test_gradients_are_clipped_as_a_whole(self):
        gradients = [tf.constant([3.0, 0.0]), tf.constant([4.0])]
        # Their global norm is 5.
        optimizer = keras.optimizers.SGD(global_clipnorm=1.0)
        found = replica_updates.as_of_one_replica(gradients, optimizer, 2)
        self.assertAllClose(found[0], [0.3, 0.0])
        self.assertAllClose(found[1], [0.4])

    def test_without_limits_they_stay_what_they_are(self):
        gradients = [tf.constant([3.0])]
        found = replica_updates.as_of_one_replica(
            gradients, keras.optimizers.SGD(), 2
        )
        self.assertIs(found[0], gradients[0])

    def test_an_infinity_anywhere_is_nan_everywhere(self):
        optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())
        finite = [tf.constant([3.0, 4.0]), tf.constant([1.0], tf.float16)]
        found = replica_updates.as_of_one_replica(finite, optimizer, 2)
        self.assert_same_bits(found, finite)
        infinite = [finite[0], tf.constant([float("inf")], tf.float16)]
        for g in replica_updates.as_of_one_replica(infinite, optimizer, 2):
            self.assertTrue(bool(tf.reduce_all(tf.math.is_nan(g))))
