import keras
import numpy as np
from study import costs

from tests.test_case import TestCase


class EpochCostsTest(TestCase):
    def measured(self, during):
        """The costs of two epochs, in each of which something happens."""
        found = costs.EpochCosts()
        for epoch in range(2):
            found.on_epoch_begin(epoch)
            during()
            found.on_epoch_end(epoch)
        return found

    def test_memory_is_the_highest_above_what_was_held(self):
        held = np.ones(2**23)  # 64 MB
        self.measured(lambda: None)
        little = self.measured(lambda: None).of_a_step(1)
        # 80 MB, which are freed before the epoch ends.
        much = self.measured(lambda: np.ones(10 * 2**20).sum()).of_a_step(1)
        self.assertLess(little["step_megabytes"], 10)
        self.assertBetween(much["step_megabytes"], 75, 95)
        self.assertLen(held, 2**23)

    def test_a_step_is_that_of_the_fastest_epoch_but_the_first(self):
        found = costs.EpochCosts()
        found.seconds, found.megabytes = [0.1, 3.0, 2.0], [9.0, None, 7.0]
        self.assertEqual(
            found.of_a_step(10),
            {"step_milliseconds": 200.0, "step_megabytes": 7.0},
        )
        # A single epoch is better than none.
        found.seconds, found.megabytes = [4.0], [None]
        self.assertEqual(
            found.of_a_step(10),
            {"step_milliseconds": 400.0, "step_megabytes": None},
        )

    def test_it_is_a_callback(self):
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        found = costs.EpochCosts()
        x = np.zeros((8, 2))
        model.fit(x, x[:, :1], 4, 3, callbacks=[found], verbose=0)
        self.assertLen(found.seconds, 3)
        self.assertGreater(found.of_a_step(2)["step_milliseconds"], 0)
