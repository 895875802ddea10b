"""Small problems, attacks and bounds that tests of training share."""

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from tests.test_case import PASS
from tests.test_case import TestCase

WEAK = keras_sat.PGD(epsilon=0.05, step_size=0.05, steps=1)
# For what is computed in two ways: without noise, which XLA draws differently,
# and without signs, which rounding changes where a gradient is next to 0.
EVEN = keras_sat.PGD(
    epsilon=0.5, step_size=0.5, steps=1, norm="l2", random_start=False
)
# The operations of a step: two passes for each gradient, and the update.
STEP = 5 * PASS


class TrainingTestCase(TestCase):
    """Tests with a small network, images, labels, and a dataset of them."""

    def setUp(self):
        super().setUp()
        self.inner, self.images, self.labels = self.tiny_classifier()
        self.images = np.asarray(self.images)
        self.labels = np.asarray(self.labels)
        self.data = dataset(self.images, self.labels)


def dataset(images, labels, batch_size=8, weights=None):
    """Returns a dataset of batches of arrays."""
    parts = (images, labels) if weights is None else (images, labels, weights)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch_size)


def network(activation, units=5):
    """Returns a network whose weights do not depend on its activation."""
    x = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, activation=activation)(x)
    h = keras.layers.BatchNormalization()(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    return keras.Model(x, keras.layers.Dense(units)(h))


def images_like(shape=(4, 8, 8, 3), dtype="float32"):
    """Returns grey images."""
    return np.full(shape, 0.5).astype(dtype)


def going_on(models, images, labels):
    """Returns what models evaluate and train to, one after the other.

    Nothing may depend on the seed, which is another one for each of them.
    """
    results = []
    for number, model in enumerate(models):
        keras.utils.set_random_seed(number)
        data = dataset(images, labels)
        logs = model.evaluate(data, verbose=0)
        history = model.fit(data, epochs=2, verbose=0).history
        values = [logs, *history.values(), *model.get_weights()]
        optimizer = map(np.asarray, model.optimizer.variables)
        results.append([*values, *optimizer])
    return results
