"""Logits and input gradients against closed forms."""

from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sat
from keras_sat import checks
from keras_sat.attacks import PGD
from keras_sat.predictions.inference import checked_inference
from keras_sat.predictions.inference import inference
from keras_sat.predictions.inference import input_gradient
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class InferenceTest(TestCase):
    def test_logits_are_float32_and_those_of_inference_mode(self):
        x = keras.Input((3,))
        h = keras.layers.Dropout(0.5)(x)
        half = keras.layers.Dense(4, dtype="float16")(h)
        model = keras.Model(
            x, keras.layers.Activation("linear", dtype="float16")(half)
        )
        images = np.random.default_rng(0).random((5, 3)).astype("float32")
        logits = inference(model)(images)
        self.assertEqual(logits.dtype, tf.float32)
        self.assertAllEqual(logits, tf.cast(model(images), tf.float32))

    def test_functions_are_called_as_they_are(self):
        weights = tf.constant([[1.0, 2.0], [3.0, 4.0]])
        found = inference(lambda x: x @ weights)(tf.constant([[1.0, 1.0]]))
        self.assertAllEqual(found, [[4.0, 6.0]])

    def test_the_first_concrete_logits_are_looked_at_and_no_others(self):
        def model(images):
            return tf.zeros((images.shape[0], 2))

        predict = checked_inference(model)
        images = tf.zeros((2, 3))
        with mock.patch.object(
            checks, "not_probabilities", wraps=checks.not_probabilities
        ) as check:
            for _ in range(3):
                predict(images)
            self.assertEqual(check.call_count, 1)
            # Inside a graph there is nothing to be looked at.
            tf.function(checked_inference(model), autograph=False)(images)
            self.assertEqual(check.call_count, 1)

    def test_logits_of_another_shape_are_refused(self):
        for model in (lambda x: x[:, 0], lambda x: tf.repeat(x, 2, axis=0)):
            with self.assertRaisesRegex(ValueError, "`model` must return"):
                inference(model)(tf.zeros((2, 3)))


class InputGradientTest(TestCase):
    def test_a_gradient_in_slices_is_a_gradient(self):
        problem = Linear(2)

        def model(images):
            return problem.model(tf.gather(images, tf.range(len(images))))

        epsilon = problem.epsilons("linf")[1]
        found = PGD(epsilon=epsilon, step_size=epsilon, loss="margin")(
            model, problem.images, problem.labels
        )
        self.assertAllEqual(
            problem.broken(found), problem.distances("linf") < epsilon
        )

    def test_a_float16_network_is_attacked_through_tiny_gradients(self):
        # Confident logits: the gradients vanish in float16 without scaling.
        dense = keras.layers.Dense(2, dtype="mixed_float16")
        images = keras.Input((4,))
        model = keras.Model(images, dense(images))
        dense.set_weights([np.outer(np.ones(4), [-2.5, 2.5]), np.zeros(2)])
        x = np.full((1, 4), 0.8, "float32")
        attack = keras_sat.FGSM(epsilon=0.1)
        self.assertAllClose(attack(model, x, np.array([1])), x - 0.1)

    def test_the_gradient_of_each_image_is_that_of_its_own_number(self):
        images = tf.constant([[1.0, 2.0], [3.0, -1.0]])
        value, gradient = input_gradient(
            lambda x: tf.reduce_sum(x**3, axis=1), images
        )
        self.assertAllClose(value, [9.0, 26.0])
        self.assertAllClose(gradient, 3 * images**2)

    def test_what_is_returned_beside_the_numbers_is_given_back(self):
        images = tf.constant([[1.0, 2.0]])
        (value, more), gradient = input_gradient(
            lambda x: (2 * x[:, 0], x + 1), images
        )
        self.assertAllEqual(value, [2.0])
        self.assertAllEqual(more, [[2.0, 3.0]])
        self.assertAllEqual(gradient, [[2.0, 0.0]])

    def test_a_missing_gradient_is_refused_or_zero(self):
        def flat(x):
            return tf.stop_gradient(x[:, 0])

        images = tf.ones((2, 3))
        with self.assertRaisesRegex(ValueError, "`model` must be different"):
            input_gradient(flat, images)
        calls = []
        value, gradient = input_gradient(
            flat, images, on_missing=lambda: calls.append(1)
        )
        self.assertAllEqual(value, [1.0, 1.0])
        self.assertAllEqual(gradient, np.zeros((2, 3)))
        self.assertLen(calls, 1)
