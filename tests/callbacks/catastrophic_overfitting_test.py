"""Tests of `keras_sat.callbacks.CatastrophicOverfitting`."""

import keras
import numpy as np
import tensorflow as tf
from absl import logging
from keras import ops

import keras_sat
from tests.test_case import TestCase

EPSILON = 0.1


def wavy_classifier():
    """Returns a cosine along the signs of the gradient, with its images.

    Its period is as long as the radius.

    A step of the whole radius leads from a peak to the next, past the valley
    in which the class changes.

    Returns:
        `keras.Model` with the classes 0 and 1, and 40 images of class 0, each
        on a peak.
    """
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], (4, 4, 1)).astype("float32")
    images = generator.uniform(0.3, 0.7, (40, 4, 4, 1)).astype("float32")
    periods = (images * signs).mean((1, 2, 3)) / EPSILON
    rest = np.round(periods) - periods
    images += EPSILON * rest.reshape(-1, 1, 1, 1) * signs
    x = keras.Input((4, 4, 1))
    phase = ops.mean(x * signs, (1, 2, 3), keepdims=True) / EPSILON
    wave = ops.reshape(ops.cos(2 * np.pi * phase), (-1, 1))
    # A weight, so that there is something to train.
    wave = keras.layers.Dense(1, kernel_initializer="ones")(wave)
    return keras.Model(x, ops.concatenate([wave, 0 * wave], 1)), images


class CatastrophicOverfittingTest(TestCase):
    def fit(self, network, images, labels, epochs=2, **options):
        """Returns the logs of training, and the warnings."""
        attack = keras_sat.PGD(epsilon=EPSILON, step_size=EPSILON)
        model = keras_sat.SATModel(network, attack=attack, eval_attack=attack)
        # What is looked for is there from the start.
        model.compile(keras.optimizers.SGD(1e-9))
        dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(20)
        probe = keras_sat.callbacks.CatastrophicOverfitting(dataset, **options)
        with self.assertLogs("absl") as logs:
            # `assertLogs` asks for one line at least.
            logging.info("begin")
            history = model.fit(
                dataset, epochs=epochs, callbacks=[probe], verbose=0
            )
        return history.history, [line for line in logs.output if "WARN" in line]

    def test_a_model_that_one_step_cannot_break_is_noticed(self):
        network, images = wavy_classifier()
        labels = np.zeros(40, "int32")
        history, warnings = self.fit(network, images, labels)
        self.assertAllClose(history["fgsm_accuracy"], [1.0, 1.0])
        self.assertAllClose(history["pgd10_accuracy"], [0.0, 0.0])
        self.assertLen(warnings, 2)
        self.assertRegex(
            warnings[1],
            "Catastrophic overfitting in epoch 2: 100.0% accuracy after one "
            "step, 0.0% after ten. .* Train with more steps",
        )

    def test_training_can_stop_then(self):
        network, images = wavy_classifier()
        history, warnings = self.fit(
            network, images, np.zeros(40, "int32"), stop=True
        )
        self.assertLen(warnings, 1)
        self.assertLen(history["loss"], 1)

    def test_a_sound_model_is_not_warned_of(self):
        network, images, labels = self.tiny_classifier()
        history, warnings = self.fit(network, images, labels, stop=True)
        self.assertEmpty(warnings)
        self.assertLen(history["loss"], 2)
        for one, ten in zip(
            history["fgsm_accuracy"], history["pgd10_accuracy"], strict=True
        ):
            self.assertLessEqual(ten, one)
