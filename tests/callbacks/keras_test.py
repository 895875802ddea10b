"""Tests of Keras's own callbacks in `fit`, with and without averages."""

import csv
import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.weights import averaging
from tests.test_case import TestCase

BOTH = parameterized.named_parameters(("plain", False), ("averaged", True))


def colours():
    """Returns a network that tells red, green, blue and grey images apart."""
    x = keras.Input((8, 8, 3))
    normalization = keras.layers.BatchNormalization(momentum=0.9)
    logits = keras.layers.Dense(4)
    h = keras.layers.GlobalAveragePooling2D()(normalization(x))
    model = keras.Model(x, logits(h))
    normalization.moving_mean.assign(np.full(3, 0.4))
    normalization.moving_variance.assign(np.full(3, 0.05))
    logits.set_weights([2 * np.eye(4)[:3], np.array([0, 0, 0, 1])])
    return model


class Interrupt(keras.callbacks.Callback):
    """Ends training before an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


class KerasCallbacksTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        labels = np.arange(32) % 4
        images = np.random.default_rng(0).uniform(0.2, 0.3, (32, 8, 8, 3))
        images += 0.5 * np.eye(4)[labels, None, None, :3]
        parts = images.astype("float32"), labels
        self.data = tf.data.Dataset.from_tensor_slices(parts).batch(8)

    def model(self, averaged, rate=0.1, **options):
        model = keras_sat.SATModel(
            colours(),
            attack=keras_sat.PGD(epsilon=0.1, step_size=0.1, steps=1),
            eval_attack=keras_sat.FGSM(epsilon=0.1),
        )
        averages = {"use_ema": True, "ema_momentum": 0.5} if averaged else {}
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, **averages)
        model.compile(optimizer, **options)
        return model

    def fit(self, model, callbacks, epochs=4, **options):
        arguments = {"verbose": 0, "validation_data": self.data} | options
        with self.deterministic():
            return model.fit(
                self.data, epochs=epochs, callbacks=callbacks, **arguments
            ).history

    def evaluate(self, model):
        with self.deterministic():
            return model.evaluate(self.data, verbose=0, return_dict=True)

    def worsening(self):
        """Returns a callback that makes the loss grow after two epochs."""
        return keras.callbacks.LearningRateScheduler(
            lambda epoch: 0.01 if epoch < 2 else -10.0
        )

    def assert_is_the_best_epoch(self, model, history):
        losses = history["val_loss"]
        best = int(np.argmin(losses))
        self.assertLess(best, len(losses) - 1)
        logs = self.evaluate(model)
        for name, value in logs.items():
            self.assertEqual(value, history[f"val_{name}"][best], name)
        self.assertGreater(losses[-1], logs["loss"] + 0.1)

    @BOTH
    def test_early_stopping_restores_the_best_epoch(self, averaged):
        model = self.model(averaged)
        stop = keras.callbacks.EarlyStopping(
            patience=1, restore_best_weights=True
        )
        # A callback behind it sees what it restored.
        path = self.folder / "end.keras"
        save = keras.callbacks.LambdaCallback(
            on_train_end=lambda _: model.save(path)
        )
        history = self.fit(model, [self.worsening(), stop, save], epochs=9)
        self.assertLen(history["loss"], 3)
        self.assert_is_the_best_epoch(model, history)
        self.assert_is_the_best_epoch(keras_sat.load_model(path), history)
        # What is exported are the averages.
        weights = model.get_weights()
        with averaging.averaged_weights(model):
            self.assert_same_bits(model.get_weights(), weights)

    @BOTH
    def test_early_stopping_without_restoring_keeps_the_last(self, averaged):
        model = self.model(averaged)
        stop = keras.callbacks.EarlyStopping("val_robust_accuracy", patience=1)
        history = self.fit(model, [self.worsening(), stop], epochs=9)
        self.assertLess(len(history["loss"]), 9)
        logs = self.evaluate(model)
        self.assertEqual(logs["loss"], history["val_loss"][-1])

    @parameterized.product(
        averaged=(False, True),
        monitor=(
            "robust_accuracy",
            "val_robust_accuracy",
            "val_clean_accuracy",
        ),
    )
    @pytest.mark.large
    def test_accuracies_are_best_where_they_are_highest(
        self, averaged, monitor
    ):
        model = self.model(averaged, metrics=["accuracy"])
        path = self.folder / "best.keras"
        callbacks = [
            keras.callbacks.EarlyStopping(monitor, patience=9),
            keras.callbacks.ReduceLROnPlateau(monitor, patience=9),
            keras.callbacks.ModelCheckpoint(path, monitor, save_best_only=True),
        ]
        history = self.fit(model, [self.worsening(), *callbacks], epochs=3)
        best = max(history[monitor])
        self.assertLess(history[monitor][-1], best)
        for callback in callbacks:
            self.assertEqual(callback.best, best, type(callback))
        first = history[monitor].index(best)
        logs = self.evaluate(keras_sat.load_model(path))
        self.assertEqual(logs["loss"], history["val_loss"][first])

    @BOTH
    def test_a_checkpoint_of_weights_evaluates_like_its_epoch(self, averaged):
        path = str(self.folder / "{epoch}-{val_loss:.2f}.weights.h5")
        save = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
        history = self.fit(self.model(averaged), [save], epochs=2)
        for epoch, loss in enumerate(history["val_loss"]):
            model = self.model(averaged)
            model.load_weights(path.format(epoch=epoch + 1, val_loss=loss))
            self.assertEqual(self.evaluate(model)["loss"], loss)

    @pytest.mark.large
    def test_backup_and_restore_goes_on_with_the_same_bits(self):
        keras.utils.set_random_seed(0)
        whole = self.model(False)
        expected = self.fit(whole, [])
        keras.utils.set_random_seed(0)
        cut = self.model(False)
        folder = self.folder / "backup"
        backup = keras.callbacks.BackupAndRestore(folder)
        with self.assertRaises(KeyboardInterrupt):
            self.fit(cut, [backup, Interrupt(2)])
        keras.utils.set_random_seed(1)
        again = self.model(False)
        backup = keras.callbacks.BackupAndRestore(folder)
        history = self.fit(again, [backup])
        self.assertEqual(history["loss"], expected["loss"][2:])
        self.assertEqual(history["val_loss"], expected["val_loss"][2:])
        self.assert_same_bits(again.get_weights(), whole.get_weights())
        # Another `fit` is another training.
        self.assertLen(self.fit(again, [], epochs=1)["loss"], 1)

    def test_backup_and_restore_of_averages_is_refused_at_once(self):
        model = self.model(True)
        before = model.get_weights()
        backup = keras.callbacks.BackupAndRestore(self.folder / "backup")
        with self.assertRaisesRegex(
            ValueError,
            "`callbacks` must save the weights that are trained.*Received "
            "BackupAndRestore and .*use_ema=True.*callbacks.Resume",
        ):
            self.fit(model, [[backup]])
        self.assert_same_bits(model.get_weights(), before)
        self.assertFalse(os.path.exists(self.folder / "backup"))

    @BOTH
    def test_the_learning_rate_is_reduced_on_a_plateau(self, averaged):
        model = self.model(averaged)
        reduce = keras.callbacks.ReduceLROnPlateau(
            "val_robust_accuracy", factor=0.5, patience=1, min_delta=2.0
        )
        history = self.fit(model, [reduce])
        self.assertAllClose(history["learning_rate"], [0.1, 0.1, 0.05, 0.025])
        self.assertNear(float(model.optimizer.learning_rate), 0.0125, 1e-7)

    @BOTH
    def test_a_schedule_that_cannot_be_changed_is_refused(self, averaged):
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 16)
        model = self.model(averaged, schedule)
        for callback in (
            keras.callbacks.ReduceLROnPlateau(),
            keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        ):
            with self.assertRaisesRegex(
                ValueError,
                "`learning_rate` must be a number for (Red|Learning).*Received "
                "a CosineDecay",
            ):
                self.fit(model, [callback])

    def test_swapping_averages_in_changes_nothing(self):
        results = []
        for callbacks in ([], [keras.callbacks.SwapEMAWeights()]):
            keras.utils.set_random_seed(0)
            model = self.model(True)
            history = self.fit(model, callbacks, epochs=2)
            results.append([*history.values(), *model.get_weights()])
        self.assert_same_bits(*results)

    @parameterized.parameters(
        (False, False, "find moving averages.*SwapEMAWeights.*use_ema=False"),
        (False, True, "find moving averages"),
        (True, True, "leave averages and weights.*SATModel validates"),
    )
    def test_swapping_what_is_not_there_or_twice_is_refused(
        self, averaged, swap_on_epoch, message
    ):
        swap = keras.callbacks.SwapEMAWeights(swap_on_epoch)
        with self.assertRaisesRegex(ValueError, message):
            self.fit(self.model(averaged), [swap])

    @BOTH
    def test_logs_are_written(self, averaged):
        model = self.model(averaged)
        callbacks = [
            keras.callbacks.CSVLogger(self.folder / "log.csv"),
            keras.callbacks.TensorBoard(self.folder, histogram_freq=1),
        ]
        history = self.fit(model, callbacks, epochs=2)
        with open(self.folder / "log.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertLen(rows, 2)
        for name, values in history.items():
            self.assertEqual([float(row[name]) for row in rows], values)
        scalars = {}
        for path in self.folder.glob("validation/events*"):
            for record in tf.data.TFRecordDataset(str(path)):
                event = tf.compat.v1.Event.FromString(record.numpy())
                for value in event.summary.value:
                    number = tf.make_ndarray(value.tensor)
                    scalars.setdefault(value.tag, []).append(number)
        for name in ("loss", "robust_accuracy", "clean_accuracy"):
            found = scalars[f"epoch_{name}"]
            self.assertAllClose(found, history[f"val_{name}"], rtol=1e-6)

    @BOTH
    def test_training_ends_where_the_loss_is_nan(self, averaged):
        model = self.model(averaged)
        seen = []
        count = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
        )
        weights = np.ones(32, "float32")
        weights[8:] = 3e38
        data = self.data.unbatch().batch(32).get_single_element()
        bad = tf.data.Dataset.from_tensor_slices((*data, weights)).batch(8)
        model.fit(
            bad,
            epochs=2,
            callbacks=[count, keras.callbacks.TerminateOnNaN()],
            verbose=0,
        )
        self.assertLen(seen, 2)
        self.assertTrue(np.isfinite(seen[0]))
        self.assertFalse(np.isfinite(seen[1]))

    @BOTH
    def test_predictions_in_fit_are_those_that_are_validated(self, averaged):
        model = self.model(averaged, rate=-3.0)
        images = self.data.map(lambda x, _: x)
        labels = np.concatenate([y for _, y in self.data])
        found = []

        def predict(epoch, logs):
            logits = model.predict(images, verbose=0)
            right = np.mean(np.argmax(logits, axis=1) == labels)
            found.append((right, logs["val_clean_accuracy"]))

        watch = keras.callbacks.LambdaCallback(on_epoch_end=predict)
        self.fit(model, [watch])
        for predicted, validated in found:
            self.assertNear(predicted, validated, 1e-6)
        self.assertGreater(len(set(found)), 1)

    @pytest.mark.large
    def test_weights_of_no_training_restart_the_averages(self):
        model = self.model(True, rate=1.0)
        self.fit(model, [], epochs=1)
        ones = [np.ones_like(w) for w in model.get_weights()]
        model.set_weights(ones)
        with averaging.averaged_weights(model):
            self.assert_same_bits(model.get_weights(), ones)
        # A file without averages, and one with averages of its own.
        path = str(self.folder / "other.weights.h5")
        self.fit(other := self.model(False), [], epochs=1)
        other.save_weights(path)
        steps = int(model.optimizer.iterations)
        with self.assertWarnsRegex(UserWarning, "for optimizer"):
            model.load_weights(path)
        self.assertEqual(int(model.optimizer.iterations), steps)
        with averaging.averaged_weights(model):
            self.assert_same_bits(model.get_weights(), other.get_weights())
        self.fit(third := self.model(True), [], epochs=2)
        third.save_weights(path)
        model.load_weights(path)
        self.assertEqual(int(model.optimizer.iterations), 8)
        self.assert_same_bits(
            [np.array(v) for v in model.optimizer.variables],
            [np.array(v) for v in third.optimizer.variables],
        )

    def test_averages_and_accumulated_gradients_go_together(self):
        model = self.model(False)
        model.compile(
            keras.optimizers.SGD(
                0.1, use_ema=True, gradient_accumulation_steps=2
            )
        )
        history = self.fit(model, [], epochs=2)
        self.assertAllInRange(history["loss"], 0, 10)
