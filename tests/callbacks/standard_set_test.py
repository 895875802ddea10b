"""Tests of `keras_sat.callbacks.standard`."""

import csv
import os
import pathlib

import pytest
import tensorflow as tf

import keras_sat
from tests.test_case import TestCase


class StandardTest(TestCase):
    @pytest.mark.large
    def test_a_run_leaves_its_files_in_one_folder(self):
        network, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(network)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
        folder = pathlib.Path(self.get_temp_dir()) / "run"

        def fit(epochs):
            callbacks = keras_sat.callbacks.standard(
                model, folder, data, tensorboard=True, probe_batches=1
            )
            model.fit(
                data,
                epochs=epochs,
                validation_data=data,
                callbacks=callbacks,
                verbose=0,
            )

        fit(1)
        # Goes on after the first epoch.
        fit(3)
        with open(folder / "log.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["0", "1", "2"])
        for name in (
            "loss",
            "robust_accuracy",
            "val_clean_accuracy",
            "val_robust_accuracy",
            "fgsm_accuracy",
            "pgd10_accuracy",
        ):
            self.assertIn(name, rows[0])
        best = max(float(row["val_robust_accuracy"]) for row in rows)
        loaded = keras_sat.load_model(folder / "best.keras")
        logs = loaded.evaluate(data, verbose=0, return_dict=True)
        self.assertNear(logs["robust_accuracy"], best, 0.1)
        self.assertLen(os.listdir(folder / "checkpoints"), 2)
        pictures = sorted(folder.glob("tensorboard/adversarial-*.png"))
        self.assertLen(pictures, 3)
        scalars = set()
        for path in folder.glob("tensorboard/validation/events*"):
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                scalars |= {value.tag for value in event.summary.value}
        self.assertIn("epoch_robust_accuracy", scalars)

    def test_training_without_validation_is_saved_and_logged(self):
        network, images, labels = self.tiny_classifier()
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
        folder = pathlib.Path(self.get_temp_dir()) / "run"
        model = keras_sat.SATModel(network)
        for epochs, chosen in (
            (1, keras_sat.callbacks.standard(model, folder, None)),
            (2, keras_sat.callbacks.standard(model, folder)),
        ):
            model.fit(data, epochs=epochs, callbacks=chosen, verbose=0)
        with open(folder / "log.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([row["epoch"] for row in rows], ["0", "1"])
        self.assertEqual(sorted(os.listdir(folder)), ["checkpoints", "log.csv"])

    def test_other_validation_data_is_refused_with_advice(self):
        network, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex(
            TypeError,
            r"`validation_ds` must be .*, or None.*a tuple.*batch\(64\)\.$",
        ):
            keras_sat.callbacks.standard(
                keras_sat.SATModel(network),
                self.get_temp_dir(),
                (images[:2], labels[:2]),
            )
