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

    def test_only_a_state_of_its_own_is_loaded(self):
        variables = [keras.Variable(np.ones(2))]
        source, other = keras.optimizers.SGD(0.5), keras.optimizers.Adam(0.25)
        chosen, not_chosen = keras.optimizers.SGD(), keras.optimizers.SGD()
        for optimizer in (source, other, chosen, not_chosen):
            optimizer.build(variables)
        optimizers.load_only_own_state(not_chosen)
        states = {}
        for optimizer in (source, other):
            states[optimizer] = {}
            optimizer.save_own_variables(states[optimizer])
        # Warnings are errors here.
        not_chosen.load_own_variables(states[other])
        self.assertAllClose(not_chosen.learning_rate, 0.01)
        not_chosen.load_own_variables(states[source])
        self.assertAllClose(not_chosen.learning_rate, 0.5)
        with self.assertWarnsRegex(UserWarning, "Skipping variable loading"):
            chosen.load_own_variables(states[other])
