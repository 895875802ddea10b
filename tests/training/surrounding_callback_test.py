"""Tests of callbacks that surround `fit`."""

import contextlib

import keras

import keras_sat
from keras_sat.training.surrounding_callback import SurroundingCallback
from tests.test_case import TestCase


class Noted(SurroundingCallback):
    """Notes when it begins and ends, and the epochs that are trained."""

    def __init__(self, events, epoch=None):
        super().__init__()
        self.events = events
        self.epoch = epoch

    @contextlib.contextmanager
    def around_fit(self, model, dataset, steps_per_epoch=None):
        self.events.append(("begin", int(model.optimizer.iterations)))
        self.steps_per_epoch = steps_per_epoch
        try:
            yield self.epoch
        finally:
            self.events.append(("end", int(model.optimizer.iterations)))

    def on_train_begin(self, logs=None):
        self.events.append("train")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(epoch)


class Interrupt(keras.callbacks.Callback):
    """Ends training after the first step."""

    def on_train_batch_end(self, batch, logs=None):
        raise KeyboardInterrupt


class SurroundingCallbackTest(TestCase):
    def setUp(self):
        super().setUp()
        inner, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(inner)
        self.events = []

    def fit(self, *callbacks, **options):
        arguments = {"epochs": 3, "batch_size": 16, "verbose": 0} | options
        return self.model.fit(
            self.images, self.labels, callbacks=list(callbacks), **arguments
        )

    def test_it_begins_before_training_and_ends_after_it(self):
        self.fit(Noted(self.events))
        self.assertEqual(
            self.events, [("begin", 0), "train", 0, 1, 2, ("end", 6)]
        )

    def test_training_begins_with_the_epoch_that_it_says(self):
        history = self.fit(Noted(self.events, 2), SurroundingCallback())
        self.assertEqual(self.events, [("begin", 0), "train", 2, ("end", 2)])
        self.assertEqual(history.epoch, [2])

    def test_it_ends_when_training_is_interrupted(self):
        with self.assertRaises(KeyboardInterrupt):
            self.fit(Noted(self.events), Interrupt())
        self.assertEqual(self.events, [("begin", 0), "train", 0, ("end", 1)])

    def test_it_ends_when_training_cannot_begin(self):
        class Refuse(SurroundingCallback):
            def around_fit(self, model, dataset, steps_per_epoch=None):
                raise ValueError("No.")

        with self.assertRaisesRegex(ValueError, "No."):
            self.fit(Noted(self.events), Refuse())
        self.assertEqual(self.events, [("begin", 0), ("end", 0)])

    def test_it_is_told_of_the_steps_of_an_epoch(self):
        noted = Noted(self.events)
        self.fit(noted, steps_per_epoch=1)
        self.assertEqual(noted.steps_per_epoch, 1)
        self.assertEqual(self.events[-1], ("end", 3))
