"""Tests of the training loss as a function of the weights."""

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.training.descent import Descent
from tests.test_case import TestCase


class Adds(keras.layers.Layer):
    """The identity, with a loss of its kernel and a count of its calls."""

    def build(self, shape):
        self.kernel = self.add_weight((), "ones", name="kernel")
        self.calls = self.add_weight((), "zeros", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign_add(1.0)
        self.add_loss(tf.square(self.kernel) / 10)
        return x * self.kernel


def network():
    """A network with all kinds of state: statistics, seeds, losses, counts."""
    x = keras.Input((6,))
    h = keras.layers.Dense(4, activation="silu")(x)
    h = keras.layers.BatchNormalization(momentum=0.9)(h)
    h = Adds()(h)
    h = keras.layers.Dropout(0.4)(h)
    return keras.Model(x, keras.layers.Dense(3, kernel_regularizer="l2")(h))


class DescentTest(TestCase):
    def setUp(self):
        super().setUp()
        self.use_deterministic_ops()
        keras.utils.set_random_seed(0)
        self.model = keras_sat.SATModel(
            network(), objective=keras_sat.TRADES(beta=2.0)
        )
        self.model.compile("sgd", weight_decay=1e-2, jit_compile=False)
        generator = np.random.default_rng(0)
        images = generator.uniform(size=(8, 6)).astype("float32")
        noisy = np.clip(images + 0.1 * generator.normal(size=(8, 6)), 0, 1)
        batch = images, noisy.astype("float32"), np.arange(8) % 3
        self.batch = *map(tf.constant, batch), None
        self.descent = Descent(self.model, *self.batch)

    def state(self):
        return [np.asarray(v) for v in self.model.variables]

    def test_gradients_elsewhere_are_those_of_weights_that_were_assigned(self):
        before = self.state()
        kernels = [
            v for v in self.model.trainable_variables if v.name != "bias"
        ]
        moved = [(v, v.value + 0.1) for v in kernels]
        found = self.descent.at(moved).gradients()
        after = self.state()
        for variable, value in zip(self.model.variables, before, strict=True):
            variable.assign(value)
        for variable, value in moved:
            variable.assign(value)
        expected = self.descent.gradients()
        self.assert_same_bits(found, expected)
        # Statistics, counts and seeds went on, and the weights did not move.
        ids = {id(v) for v in self.model.trainable_variables}
        for i, variable in enumerate(self.model.variables):
            if id(variable) in ids:
                self.assertAllEqual(after[i], before[i])
            else:
                self.assertAllEqual(after[i], variable)
        self.assertEqual(
            sum(np.any(x != y) for x, y in zip(before, after, strict=True)), 4
        )

    def test_a_direction_changes_nothing_and_knows_no_weight_decay(self):
        kernels = self.model.trainable_variables
        before = self.state()
        found = self.descent.direction(kernels)
        self.assert_same_bits(self.state(), before)
        self.model.weight_decay = 0.0
        self.assert_same_bits(found, self.descent.gradients().weights)

    def test_moves_add_up_and_leave_the_first_descent_where_it_is(self):
        one, two = self.model.trainable_variables[:2]
        there = self.descent.at([(one, one.value + 1)])
        further = there.at([(two, two.value + 1), (one, one.value + 2)])
        self.assertAllEqual(self.descent.value(one), one)
        self.assertAllEqual(there.value(one), one + 1)
        self.assertAllEqual(there.value(two), two)
        self.assertAllEqual(further.value(one), one + 2)
        self.assertAllEqual(further.value(two), two + 1)

    def test_a_loss_of_clean_images_alone_has_no_gradient_in_the_others(
        self,
    ):
        self.model.objective = keras_sat.TRADES(beta=0.0)
        images, _, labels, _ = self.batch
        descent = Descent(self.model, images, tf.identity(images), labels, None)
        self.assertAllEqual(descent.gradients().adversarial, 0 * images)
