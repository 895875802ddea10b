"""Steps of the state of Auto-PGD, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import APGD
from keras_sat.attacks.ascent import Ascent
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.pieces import Pieces
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class AscentTest(TestCase):
    def setUp(self):
        super().setUp()
        start = tf.constant([[0.0], [1.0], [2.0], [3.0]])
        self.state = Ascent.begin(start, 0.5)

    def after(self, state, *values, success=(0, 0, 0, 0)):
        """Returns the state after losses at iterates 10, 20, ... were seen."""
        for i, value in enumerate(values, start=1):
            state = state._replace(x=tf.fill((4, 1), 10.0 * i))
            state = state.seen(
                tf.constant(value),
                tf.fill((4, 1), float(i)),
                tf.constant(np.array(success, bool)),
            )
        return state

    def test_the_best_iterate_is_kept_and_a_success_is_better(self):
        seen = self.after(
            self.state,
            [1.0, 1.0, 1.0, 9.0],
            [2.0, 0.5, 1.0, 9.0],
            [1.5, 3.0, 1.0, 9.0],
        )
        self.assertAllEqual(seen.best[:, 0], [20, 30, 10, 10])
        self.assertAllEqual(seen.best_direction[:, 0], [2, 3, 1, 1])
        self.assertAllEqual(seen.best_value, [2.0, 3.0, 1.0, 9.0])
        self.assertAllEqual(seen.last_value, [1.5, 3.0, 1.0, 9.0])
        # The first loss is no rise: there is none to compare it with.
        self.assertAllEqual(seen.rises, [1, 1, 0, 0])
        # A success is kept although its loss is lower.
        success = self.after(seen, [0.0] * 4, success=(1, 0, 0, 1))
        self.assertAllEqual(success.best[:, 0], [10, 30, 10, 10])
        self.assertAllEqual(success.best_value, [0.0, 3.0, 1.0, 0.0])

    def test_what_broke_an_image_is_kept_however_high_the_loss_becomes(self):
        problem = problems.Linear(3)
        labels = problem.labels.copy()
        # The last one is broken from the beginning.
        labels[-1] = (labels[-1] + 1) % 3
        attack = APGD(epsilon=problem.epsilons("linf")[1], steps=8)
        network = CompiledNetwork(problem.model, jit_compile=False)
        pieces = Pieces(attack, network)
        rows, seed = tf.range(len(labels)), tf.constant([1, 2])
        state = pieces.begin(problem.images, labels, rows, seed)
        self.assertAllEqual(state.done, np.arange(len(labels)) == 39)
        first = {39: problem.images[39]}
        values = {}
        for _ in range(attack.steps + 1):
            iterates = np.asarray(state.attempt.ascent.x)
            broken = np.argmax(problem.model(iterates), axis=1) != labels
            state = pieces.advance(state, seed, 1)
            for i in np.flatnonzero(broken & (np.arange(40) < 39)):
                first.setdefault(int(i), iterates[i])
                last = state.attempt.ascent.last_value[i]
                values.setdefault(int(i), []).append(last)
        self.assertBetween(len(first), 10, 30)
        for i, image in first.items():
            self.assertAllEqual(state.adversarial[i], image)
            self.assertTrue(state.done[i])
        # There were iterates of a higher loss, after the first success.
        self.assertTrue(any(max(each) > each[0] for each in values.values()))

    def test_steps_are_halved_where_the_loss_rarely_rises(self):
        state = self.state._replace(
            rises=tf.constant([4.0, 3.0, 2.0, 4.0]),
            best_value=tf.ones(4),
            best=self.state.x + 100,
        )
        direction, best = tf.zeros((4, 1)), state.best_direction + 7
        state = state._replace(best_direction=best)
        period = tf.fill((4,), 4)
        found, x, direction = state.adapted(direction, period, 0.75)
        # Three of four rises are not more than the share.
        halved = np.array([False, True, True, False])
        self.assertAllEqual(found.halved, halved)
        self.assertAllEqual(found.step, np.where(halved, 0.25, 0.5))
        self.assertAllEqual(x[:, 0], np.arange(4) + 100 * halved)
        self.assertAllEqual(direction[:, 0], 7 * halved)
        self.assertAllEqual(found.rises, np.zeros(4))
        self.assertAllEqual(found.checked_value, np.ones(4))

    def test_steps_are_halved_where_neither_step_nor_best_has_changed(self):
        state = self.state._replace(
            rises=tf.fill((4,), 4.0),
            halved=tf.constant([False, True, False, True]),
            best_value=tf.constant([1.0, 1.0, 2.0, 2.0]),
            checked_value=tf.ones(4),
        )
        found = state.adapted(state.x, tf.fill((4,), 4), 0.75)[0]
        self.assertAllEqual(found.halved, [True, False, False, False])

    def test_between_checkpoints_nothing_changes(self):
        state = self.after(self.state, [1.0] * 4)
        period = tf.zeros(4, tf.int32)
        found, x, direction = state.adapted(state.x + 1, period, 0.75)
        self.assert_same_bits(tuple(found), tuple(state))
        self.assertAllEqual(x, state.x)
        self.assertAllEqual(direction, state.x + 1)

    def test_each_image_has_checkpoints_of_its_own(self):
        state = self.after(self.state, [1.0] * 4)
        period = tf.constant([0, 4, 0, 4])
        found, _, _ = state.adapted(state.x, period, 0.75)
        self.assertAllEqual(found.step, [0.5, 0.25, 0.5, 0.25])
        self.assertAllEqual(found.checked_value, [-np.inf, 1.0, -np.inf, 1.0])
