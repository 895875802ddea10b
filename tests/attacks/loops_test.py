"""The loop of attacks, and choices for each image."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.loops import worst_of
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


class WorstOfTest(TestCase):
    def test_the_first_success_counts_then_the_best(self):
        images = tf.zeros((4, 2))
        # Three attempts on four images, the last of which is not attacked.
        success = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 1, 1]], bool)
        value = [[5.0, 1, 9, 9], [-3.0, 3, 2, 9], [8.0, 2, 1, 9]]
        attacked = []

        def attempt(i, broken):
            attacked.append(np.flatnonzero(~broken.numpy()).tolist())
            new = tf.fill((4, 2), tf.cast(i + 1, tf.float32))
            good = tf.constant(success)[i]
            return new, good, tf.constant(value)[i]

        broken = tf.constant([False, False, False, True])
        found = worst_of(attempt, 3, images, broken)
        self.assertAllEqual(found[:, 0], [2, 2, 3, 0])
        self.assertEqual(attacked, [[0, 1, 2], [0, 1, 2], [1, 2]])
        one = worst_of(attempt, 1, images, broken)
        self.assertAllEqual(one[:, 0], [1, 1, 1, 0])

    def test_it_ends_when_all_are_broken(self):
        calls = []

        def attempt(i, broken):
            calls.append(int(i))
            return tf.ones((2, 1)), tf.fill((2,), i > 1), tf.zeros(2)

        worst_of(attempt, 9, tf.zeros((2, 1)), tf.zeros(2, tf.bool))
        self.assertEqual(calls, [0, 1, 2])

    def test_choices_are_made_for_whole_images(self):
        x, y = tf.ones((2, 3, 4)), tf.zeros((2, 3, 4))
        found = where(tf.constant([True, False]), x, y)
        self.assertAllEqual(tf.reduce_sum(found, [1, 2]), [12, 0])
        values = per_image(tf.constant([2.0, 3.0]), x)
        self.assertEqual(values.shape, (2, 1, 1))
        self.assertAllEqual((values * x)[1], tf.fill((3, 4), 3.0))
