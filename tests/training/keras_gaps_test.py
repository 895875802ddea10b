"""Tests of the corrections of Keras.

`replicated_model_test.py` trains on several workers, and tells when Keras can
do so by itself.
"""

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.training.keras_gaps import KerasGaps
from tests.test_case import TestCase


class Corrected(KerasGaps, keras.Model):
    """A model of Keras, and nothing else."""


class KerasGapsTest(TestCase):
    def test_logs_of_a_process_alone_stay_what_they_are(self):
        logs = {"loss": tf.constant(1.0)}
        model = keras_sat.SATModel(self.tiny_classifier()[0])
        self.assertIs(model.reducible(logs), logs)

    def test_losses_of_layers_of_several_precisions_are_added(self):
        x = keras.Input((3,))
        h = keras.layers.Dense(
            4,
            dtype="float64",
            kernel_initializer="ones",
            kernel_regularizer=keras.regularizers.L2(0.5),
        )(x)
        y = keras.layers.Dense(
            2,
            dtype="float32",
            kernel_initializer="ones",
            kernel_regularizer=keras.regularizers.L2(0.25),
        )(h)
        images, labels = np.ones((4, 3), "float32"), np.full((4, 2), 12.0)
        model = Corrected(x, y)
        model.compile("sgd", "mse")
        # 12 and 8 kernels of 1; what is predicted is right.
        loss = model.compute_loss(images, labels, model(images))
        self.assertAllClose(loss, 0.5 * 12 + 0.25 * 8)
