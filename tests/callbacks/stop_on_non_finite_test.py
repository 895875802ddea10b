"""Tests of `keras_sat.callbacks.StopOnNonFinite`."""

import keras
import numpy as np

import keras_sat
from tests.test_case import TestCase


class StopOnNonFiniteTest(TestCase):
    def test_a_loss_that_is_not_finite_ends_training_with_words(self):
        model, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(model)
        sat.compile(keras.optimizers.SGD(1e30), weight_decay=1.0)
        with self.assertRaisesRegex(
            FloatingPointError,
            r"must be finite\. Received: loss=\w+ at step \d+ of epoch 1; the "
            r"last finite loss: \d+\.\d+.*lower learning rate",
        ):
            sat.fit(
                *(images, labels),
                batch_size=4,
                callbacks=[keras_sat.callbacks.StopOnNonFinite()],
                verbose=0,
            )

    def test_the_last_good_checkpoint_stays(self):
        folder = self.get_temp_dir()
        callbacks = [
            keras_sat.callbacks.StopOnNonFinite(),
            keras_sat.callbacks.Resume(folder),
        ]
        model, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(model)
        sat.fit(images, labels, callbacks=callbacks, verbose=0)
        good = sat.get_weights()

        class Spoil(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                kernel = self.model.trainable_variables[0]
                kernel.assign(np.full(kernel.shape, np.inf))

        with self.assertRaises(FloatingPointError):
            sat.fit(
                *(images, labels),
                epochs=2,
                callbacks=[Spoil(), *callbacks],
                verbose=0,
            )
        again = keras_sat.SATModel(self.tiny_classifier()[0])
        again.fit(images, labels, callbacks=callbacks, verbose=0)
        self.assert_same_bits(again.get_weights(), good)

    def test_finite_losses_do_not_end_it(self):
        model, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(model)
        callback = keras_sat.callbacks.StopOnNonFinite()
        history = sat.fit(
            images, labels, epochs=2, callbacks=[callback], verbose=0
        )
        self.assertLen(history.history["loss"], 2)
