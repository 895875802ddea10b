"""Losses of attacks against formulas by hand."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import losses
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

LOGITS = np.array([[3.0, 1.0, -2.0, 0.5], [0.0, 2.0, 4.0, 1.0]], "float32")
LABELS = np.array([0, 1], "int32")


class LossesTest(TestCase):
    def test_cross_entropy_of_ids_and_of_probabilities_agree(self):
        expected = np.log(np.exp(LOGITS).sum(1)) - LOGITS[[0, 1], LABELS]
        one_hot = np.eye(4, dtype="float64")[LABELS]
        for labels in (LABELS, one_hot):
            self.assertAllClose(losses.cross_entropy(labels, LOGITS), expected)

    def test_margin_is_best_wrong_logit_minus_right_logit(self):
        self.assertAllClose(
            losses.margin(LABELS, tf.constant(LOGITS)), [1 - 3, 4 - 2]
        )

    def test_dlr_by_hand(self):
        expected = [(1 - 3) / (3 - 0.5), (4 - 2) / (4 - 1)]
        logits = tf.constant(LOGITS)
        self.assertAllClose(losses.dlr(LABELS, logits), expected)

    def test_dlr_ignores_shift_and_scale(self):
        logits = tf.constant(LOGITS)
        self.assertAllClose(
            losses.dlr(LABELS, logits), losses.dlr(LABELS, 50 * logits + 7)
        )

    @parameterized.parameters("margin", "dlr")
    def test_probabilities_count_as_their_largest_class(self, name):
        loss = losses.get(name)
        soft = 0.9 * np.eye(4)[LABELS] + 0.025
        logits = tf.constant(LOGITS)
        self.assertAllEqual(loss(soft, logits), loss(LABELS, logits))

    @parameterized.parameters("cross_entropy", "margin", "dlr")
    def test_gradients_are_finite_when_the_logits_are_equal(self, name):
        logits = tf.zeros((2, 4))
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = losses.get(name)(LABELS, logits)
        self.assertAllInRange(
            tape.gradient(value, logits), -np.float32(1e13), np.float32(1e13)
        )

    def test_dlr_refuses_two_classes(self):
        with self.assertRaisesRegex(
            ValueError, "`num_classes` must be at least 3 .* Received.*2"
        ):
            losses.dlr(np.array([0]), tf.zeros((1, 2)))

    def test_unknown_loss_is_refused_with_the_known_ones(self):
        with self.assertRaisesRegex(
            ValueError, "`loss` must be one of .*'dlr'.*Received: loss='ce'"
        ):
            losses.get("ce")
