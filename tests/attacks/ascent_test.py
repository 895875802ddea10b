"""Steps of the state of Auto-PGD, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks.ascent import Ascent
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class AscentTest(TestCase):
    def setUp(self):
        super().setUp()
        start = tf.constant([[0.0], [1.0], [2.0], [3.0]])
        broken = tf.constant([False, False, False, True])
        self.state = Ascent.begin(start, broken, 0.5)

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

    def test_the_best_iterate_is_kept_and_broken_ones_stay(self):
        seen = self.after(
            self.state,
            [1.0, 1.0, 1.0, 9.0],
            [2.0, 0.5, 1.0, 9.0],
            [1.5, 3.0, 1.0, 9.0],
        )
        self.assertAllEqual(seen.best[:, 0], [20, 30, 10, 3])
        self.assertAllEqual(seen.best_direction[:, 0], [2, 3, 1, 0])
        self.assertAllEqual(seen.best_value[:3], [2.0, 3.0, 1.0])
        self.assertAllEqual(seen.last_value, [1.5, 3.0, 1.0, 9.0])
        # The first loss is no rise: there is none to compare it with.
        self.assertAllEqual(seen.rises, [1, 1, 0, 0])
        success = self.after(seen, [0.0] * 4, success=(1, 0, 0, 0))
        self.assertAllEqual(success.broken, [True, False, False, True])
        self.assertAllEqual(success.best[:, 0], [10, 30, 10, 3])
        # What broke an image is kept, however high the loss becomes.
        later = self.after(success, [99.0] * 4)
        self.assertAllEqual(later.best[:, 0], [10, 10, 10, 3])

    def test_steps_are_halved_where_the_loss_rarely_rises(self):
        state = self.state._replace(
            rises=tf.constant([4.0, 3.0, 2.0, 4.0]),
            best_value=tf.ones(4),
            best=self.state.x + 100,
        )
        direction, best = tf.zeros((4, 1)), state.best_direction + 7
        state = state._replace(best_direction=best)
        found, x, direction = state.adapted(direction, tf.constant(4), 0.75)
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
        found = state.adapted(state.x, tf.constant(4), 0.75)[0]
        self.assertAllEqual(found.halved, [True, False, False, False])

    def test_between_checkpoints_nothing_changes(self):
        state = self.after(self.state, [1.0] * 4)
        found, x, direction = state.adapted(state.x + 1, tf.constant(0), 0.75)
        self.assert_same_bits(tuple(found), tuple(state))
        self.assertAllEqual(x, state.x)
        self.assertAllEqual(direction, state.x + 1)
