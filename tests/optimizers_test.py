"""Tests of what every Keras optimizer can be asked."""

import keras
import numpy as np

from keras_sat import optimizers
from tests.test_case import TestCase


class OptimizersTest(TestCase):
    def test_the_optimizer_inside_of_a_loss_scale_is_found(self):
        plain = keras.optimizers.SGD()
        scaled = keras.optimizers.LossScaleOptimizer(plain)
        self.assertIs(optimizers.inner(scaled), plain)
        self.assertIs(optimizers.inner(plain), plain)
        self.assertIsNone(optimizers.inner(None))

    def test_batches_are_counted_not_updates(self):
        for accumulated, expected in ((None, 6), (3, 6), (4, 4)):
            model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
            model.compile(
                keras.optimizers.SGD(gradient_accumulation_steps=accumulated),
                "mse",
            )
            for _ in range(6):
                model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
            # As many as the updates have used.
            seen = optimizers.batches_seen(model.optimizer)
            self.assertEqual(int(seen), expected)
