"""Tests of `keras_sat.callbacks.BestCheckpoint`."""

import contextlib
import io
import json
import os
import pathlib
from unittest import mock

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase


class Script(keras.callbacks.Callback):
    """Sets the weights and the robust accuracy of each epoch."""

    def __init__(self, accuracies):
        super().__init__()
        self.accuracies = accuracies

    def on_epoch_end(self, epoch, logs=None):
        for weight in self.model.trainable_variables:
            weight.assign(np.full(weight.shape, epoch + 1.0))
        logs["val_robust_accuracy"] = self.accuracies[epoch]


class BestCheckpointTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / "new"
        self.path = self.folder / "best.keras"

    def fit(self, accuracies, initial_epoch=0, verbose=0):
        network, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(network)
        model.fit(
            *(images, labels),
            epochs=len(accuracies),
            initial_epoch=initial_epoch,
            callbacks=[
                Script(accuracies),
                keras_sat.callbacks.BestCheckpoint(self.path),
            ],
            verbose=verbose,
        )
        return model

    def saved_epoch(self):
        model = keras_sat.load_model(self.path)
        (epoch,) = {float(np.mean(w)) for w in model.trainable_variables}
        logs = json.loads((self.folder / "best.json").read_text())
        self.assertEqual(logs["epoch"], epoch)
        return epoch

    def test_the_best_epoch_is_what_is_saved(self):
        self.fit([0.1, 0.4, 0.3, 0.4])
        self.assertEqual(self.saved_epoch(), 2)
        self.assertEqual(
            sorted(os.listdir(self.folder)), ["best.json", "best.keras"]
        )

    def test_the_best_epoch_is_said(self):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.fit([0.1, 0.4, 0.3], verbose=2)
        said = [
            line for line in output.getvalue().splitlines() if "best" in line
        ]
        self.assertEqual(
            said[-1],
            "Epoch 2 is the best so far: val_robust_accuracy is 0.4000.",
        )
        self.assertLen(said, 2)

    def test_training_that_goes_on_knows_what_to_beat(self):
        self.fit([0.1, 0.4])
        self.fit([0.1, 0.4, 0.3], initial_epoch=2)
        self.assertEqual(self.saved_epoch(), 2)
        self.fit([0.1, 0.4, 0.3, 0.5], initial_epoch=3)
        self.assertEqual(self.saved_epoch(), 4)

    def test_a_model_that_cannot_be_written_leaves_the_one_before(self):
        self.fit([0.1])
        before = self.path.read_bytes()

        def full_disk(model, path, **_):
            pathlib.Path(path).write_bytes(b"half")
            raise OSError("No space left on device")

        with (
            mock.patch.object(keras_sat.SATModel, "save", full_disk),
            self.assertRaisesRegex(OSError, "No space"),
        ):
            self.fit([0.1, 0.4], initial_epoch=1)
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual(
            sorted(os.listdir(self.folder)), ["best.json", "best.keras"]
        )

    def test_the_averages_are_saved(self):
        network, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(network)
        optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
        model.compile(optimizer)
        model.fit(
            *(images, labels),
            batch_size=8,
            validation_data=(images, labels),
            callbacks=[keras_sat.callbacks.BestCheckpoint(self.path)],
            verbose=0,
        )
        # At the end of training the averages are the weights.
        loaded = keras_sat.load_model(self.path)
        for one, two in zip(
            loaded.model.get_weights(), network.get_weights(), strict=True
        ):
            self.assertAllEqual(one, two)

    def test_a_log_that_is_not_there_is_refused(self):
        network, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex(
            ValueError,
            r"`monitor` must be one of \['loss', 'robust_accuracy'\].*"
            "Received: monitor='val_robust_accuracy'.*`validation_data`",
        ):
            keras_sat.SATModel(network).fit(
                *(images, labels),
                callbacks=[keras_sat.callbacks.BestCheckpoint(self.path)],
                verbose=0,
            )

    def test_epochs_without_validation_are_passed_over(self):
        network, images, labels = self.tiny_classifier()
        best = keras_sat.callbacks.BestCheckpoint(self.path)
        with self.assertLogs("absl", level="WARNING") as logs:
            keras_sat.SATModel(network).fit(
                *(images, labels),
                epochs=2,
                validation_data=(images, labels),
                validation_freq=2,
                callbacks=[best],
                verbose=0,
            )
        self.assertRegex(logs.output[0], "no val_robust_accuracy in epoch 1")
        written = json.loads((self.folder / "best.json").read_text())
        self.assertEqual(written["epoch"], 2)

    @parameterized.parameters("best", "best.h5")
    def test_another_kind_of_file_is_refused(self, path):
        with self.assertRaisesRegex(ValueError, "`path` must end with"):
            keras_sat.callbacks.BestCheckpoint(path)
