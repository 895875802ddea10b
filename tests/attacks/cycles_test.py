"""Cycles of iterates that are found, and turns that are left out."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import PGD
from keras_sat.attacks.cycles import Cycles
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.pieces import Pieces
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric
SEED = np.array([1, 2], "int32")


class Counted(CompiledNetwork):
    """A network that counts how often its gradient is asked for, and run."""

    steps = 0

    def value_and_gradient(self, *arguments):
        """See `Network.value_and_gradient`."""

        def count():
            self.steps += 1
            return np.int32(0)

        counted = tf.numpy_function(count, [], tf.int32)
        with tf.control_dependencies([counted]):
            return super().value_and_gradient(*arguments)


class CyclesTest(TestCase):
    @parameterized.product(
        tail=[0, 1, 2, 7, 20], period=[1, 2, 3, 8, 13], steps=[1, 5, 64, 1001]
    )
    def test_fewer_steps_end_at_the_same_iterate(self, tail, period, steps):
        def place(step):
            return step if step < tail else tail + (step - tail) % period

        x = tf.fill((1, 2), 0.0)
        cycles, left = Cycles.begin(x), tf.constant([steps])
        made = 0
        while left[0] > 0:
            made += 1
            x = tf.fill((1, 2), float(place(made)))
            cycles, left = cycles.after(x, left - 1)
        self.assertAllEqual(x, tf.fill((1, 2), float(place(steps))))
        # An iterate is remembered for more steps than an eighth of those made
        # before it. One of the cycle is found if that is a period at least.
        first = max(tail, 8 * period)
        self.assertLessEqual(made, min(steps, 1.5 * first + 2 * period + 3))

    def test_short_cycles_are_found_soon_after_they_begin(self):
        for tail in 10, 45, 70, 300:
            x = tf.zeros((1, 1))
            cycles, left = Cycles.begin(x), tf.constant([2000])
            for made in range(1, 2 * tail):
                x = tf.fill((1, 1), float(min(made, tail + made % 2)))
                cycles, left = cycles.after(x, left - 1)
                if cycles.found[0]:
                    break
            self.assertBetween(made, tail + 1, 1.2 * tail + 8)

    def test_each_image_has_a_cycle_of_its_own(self):
        # Periods 1, 2 and 3, and one that never repeats.
        periods = np.array([1, 2, 3, 10**6])
        x = tf.zeros((4, 1))
        cycles, left = Cycles.begin(x), tf.fill((4,), 100)
        found_after = np.zeros(4, int)
        for made in range(1, 13):
            x = tf.constant((made % periods)[:, None], tf.float32)
            cycles, left = cycles.after(x, left - 1)
            found_after[cycles.found & (found_after == 0)] = made
        self.assertAllEqual(cycles.found, [True, True, True, False])
        # Remembered after 0, 1, 3 and 6 steps: looked for from there on.
        self.assertAllEqual(found_after[:3], [1, 3, 6])
        self.assertAllEqual(left[3], 88)

    def test_iterates_that_differ_in_one_pixel_are_no_cycle(self):
        x = np.zeros((1, 3), "float32")
        cycles, left = Cycles.begin(tf.constant(x)), tf.constant([9])
        for i in range(4):
            x[0, -1] = i + 1
            cycles, left = cycles.after(tf.constant(x), left - 1)
            self.assertAllEqual(cycles.found, [False])
        self.assertAllEqual(left, [5])

    @parameterized.parameters(False, True)
    def test_many_steps_of_pgd_are_those_of_a_plain_loop(self, best_iterate):
        self.use_deterministic_ops()
        model, images, labels = problems.network()
        model = problems.one_by_one(model)
        images, labels = images[:6], labels[:6]
        attack = PGD(
            epsilon=0.01,
            step_size=0.004,
            steps=300,
            random_start=False,
            best_iterate=best_iterate,
        )
        network = Counted(model, jit_compile=False)
        pieces = Pieces(attack, network)
        rows = np.arange(6, dtype="int32")
        state = pieces.begin(images, labels, rows, SEED)
        while not np.all(state.done):
            state = pieces.advance(state, SEED, 7)
        plain = tf.function(
            lambda *batch: attack(model, *batch), autograph=False
        )(images, labels, SEED)
        self.assert_same_bits(state.adversarial, plain)
        self.assertBetween(network.steps, 1, 150)
