"""The loop of attacks, and choices for each image."""

import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks.loops import repeat
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class RepeatTest(TestCase):
    def test_each_step_gets_its_index_and_the_last_state(self):
        # Horner's rule for 1 x^4 + 2 x^3 + 3 x^2 + 4 x + 5 at 2.
        found = repeat(
            lambda i, y: 2 * y + tf.cast(i + 1, tf.float32), tf.constant(0.0), 5
        )
        self.assertEqual(float(found), 16 + 16 + 12 + 8 + 5)

    def test_a_state_may_be_any_structure(self):
        def step(i, state):
            return {"a": state["b"][0], "b": (state["a"] + state["b"][0],)}

        state = {"a": tf.constant(0), "b": (tf.constant(1),)}
        found = repeat(step, state, 10)
        # Fibonacci numbers.
        self.assertEqual((int(found["a"]), int(found["b"][0])), (55, 89))

    @parameterized.parameters(False, True)
    def test_it_ends_when_it_may(self, in_graph):
        steps = []

        def run():
            def step(i, x):
                steps.append(i)
                return x + 1

            return repeat(step, tf.constant(0), 100, until=lambda x: x >= 7)

        found = tf.function(run, autograph=False)() if in_graph else run()
        self.assertEqual(int(found), 7)
        # In a graph, the step is traced once, however often it is made.
        self.assertLen(steps, 1 if in_graph else 7)
        self.assertEqual(int(repeat(lambda i, x: x, found, 0)), 7)
