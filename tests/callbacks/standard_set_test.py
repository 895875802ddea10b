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
