"""Tests of `keras_sat.averaging`."""

import keras
import numpy as np
from absl.testing import parameterized

from keras_sat import averaging
from tests.test_case import TestCase


class AveragingTest(TestCase):
    def trained(self, optimizer, steps=1):
        """A model with one weight, 0 at first, whose gradient is 1."""
        model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
        )
        model.set_weights([np.zeros((1, 1))])
        model.compile(optimizer, loss="mean_absolute_error")
        for _ in range(steps):
            model.train_on_batch(np.ones((1, 1)), -9 * np.ones((1, 1)))
        return model

    def averages_by_hand(self, momentum, weights):
        average = 0.0
        for step, weight in enumerate(weights):
            average = weight if step == 0 else average
            average = momentum * average + (1 - momentum) * weight
        return average

    @parameterized.parameters(False, True)
    def test_the_averages_are_lent_and_the_weights_come_back(self, scaled):
        optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model = self.trained(optimizer, steps=3)
        with averaging.averaged_weights(model):
            lent = model.get_weights()[0].item()
        # The weight was -1, -2 and -3.
        expected = self.averages_by_hand(0.5, [-1, -2, -3])
        self.assertNear(lent, expected, 1e-6)
        self.assertNear(model.get_weights()[0].item(), -3, 1e-6)

    def test_the_weights_come_back_after_an_error(self):
        optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
        model = self.trained(optimizer, steps=2)
        with self.assertRaises(RuntimeError):
            with averaging.averaged_weights(model):
                raise RuntimeError
        self.assertNear(model.get_weights()[0].item(), -2, 1e-6)

    @parameterized.named_parameters(
        ("not_wanted", {"use_ema": True}, 2, False),
        ("no_averages", {}, 2, True),
        ("no_step", {"use_ema": True}, 0, True),
    )
    def test_nothing_happens(self, arguments, steps, wanted):
        model = self.trained(keras.optimizers.SGD(1.0, **arguments), steps)
        with averaging.averaged_weights(model, wanted):
            self.assertNear(model.get_weights()[0].item(), -steps, 1e-6)
