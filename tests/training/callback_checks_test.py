"""Tests of the checks of callbacks and of what they monitor."""

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from keras_sat.training import callback_checks
from tests.test_case import TestCase

callbacks = keras.callbacks


class Logs(callbacks.Callback):
    """Logs something that no one else knows of."""

    def on_epoch_end(self, epoch, logs=None):
        logs["secret_accuracy"] = float(epoch)


class OwnMetric(keras.metrics.Mean):
    """A metric that could log under any name."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_true)


class MonitorsTest(TestCase):
    def setUp(self):
        super().setUp()
        network, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(network)

    def check(self, *given, validated=True, **options):
        if options:
            self.model.compile(**options)
        callback_checks.check(
            self.model, callback_checks.listed(given), validated
        )

    @parameterized.parameters(
        callbacks.EarlyStopping,
        callbacks.ReduceLROnPlateau,
        lambda monitor: callbacks.ModelCheckpoint(
            "a.keras", monitor, save_best_only=True
        ),
        lambda monitor: keras_sat.callbacks.BestCheckpoint("a.keras", monitor),
    )
    def test_a_misspelled_monitor_is_refused_before_training(self, callback):
        before = self.model.get_weights()
        for given, names in (
            ({}, r"\['loss', 'robust_accuracy'\]"),
            (
                {"validation_data": (self.images, self.labels)},
                r"\['loss', 'robust_accuracy', 'val_clean_accuracy', 'val_loss'"
                r", 'val_robust_accuracy'\]",
            ),
        ):
            with self.assertRaisesRegex(
                ValueError,
                f"`monitor` must be one of {names} for .*Received: monitor="
                "'val_robust_accurcy'. Those of validation need",
            ):
                self.model.fit(
                    *(self.images, self.labels),
                    callbacks=callback("val_robust_accurcy"),
                    verbose=0,
                    **given,
                )
        self.assert_same_bits(self.model.get_weights(), before)
        self.check(callback("val_robust_accuracy"))
        with self.assertRaisesRegex(ValueError, "`monitor` must be one of"):
            self.check(callback("val_robust_accuracy"), validated=False)
        with self.assertRaisesRegex(ValueError, "`monitor` must be one of"):
            # It is for validation only.
            self.check(callback("clean_accuracy"))

    def test_a_misspelled_field_of_a_path_is_refused(self):
        checkpoint = callbacks.ModelCheckpoint
        self.check(checkpoint("{epoch:02d}-{val_robust_accuracy:.2f}.keras"))
        for path, options in (
            ("{val_acc}.keras", {}),
            # Validation has not been when a batch ends.
            ("{val_loss}.keras", {"save_freq": 5}),
        ):
            with self.assertRaisesRegex(
                ValueError, "`filepath` must have fields among .*'epoch'.*val_"
            ):
                self.check(checkpoint(path, **options))

    def test_what_is_never_looked_at_may_be_missing(self):
        # The default of `monitor` is "val_loss".
        self.check(callbacks.ModelCheckpoint("a.keras"), validated=False)

    def test_callbacks_see_what_those_before_them_log(self):
        stop = callbacks.EarlyStopping("pgd10_accuracy")
        data = [keras_sat.callbacks.CatastrophicOverfitting(None)]
        self.check(data, stop)
        self.assertEqual(stop.mode, "max")
        with self.assertRaisesRegex(ValueError, "`monitor` must be one of"):
            self.check(stop, data)
        reduce = callbacks.ReduceLROnPlateau()
        rate = callbacks.EarlyStopping("learning_rate", mode="min")
        self.check(reduce, rate)
        with self.assertRaisesRegex(ValueError, "`monitor` must be one of"):
            self.check(rate, reduce)

    def test_other_callbacks_and_metrics_may_log_what_they_like(self):
        stop = callbacks.EarlyStopping("secret_accuracy", patience=9)
        for before in (Logs(), callbacks.LambdaCallback(on_epoch_end=print)):
            self.check(before, stop)
        with self.assertRaisesRegex(ValueError, "`monitor` must be one of"):
            self.check(stop, Logs())
        self.check(stop, metrics=[OwnMetric()])
        self.model.fit(
            *(self.images, self.labels),
            epochs=2,
            callbacks=[Logs(), stop],
            verbose=0,
        )
        self.assertEqual(stop.best, 1.0)

    @parameterized.parameters(
        ("accuracy", "val_accuracy"),
        ("mse", "mse"),
        (keras.metrics.AUC(from_logits=True, name="area"), "val_area"),
        (keras.metrics.SparseTopKCategoricalAccuracy(2, name="two"), "two"),
    )
    def test_metrics_with_a_direction_are_left_to_keras(self, metric, monitor):
        stop = callbacks.EarlyStopping(monitor)
        self.check(stop, metrics=[metric])
        self.assertEqual(stop.mode, "auto")

    def test_compiled_metrics_are_followed_to_their_best(self):
        stop = callbacks.EarlyStopping("val_accuracy", patience=9)
        self.model.compile(metrics=["accuracy"])
        data = self.images, self.labels
        history = self.model.fit(
            *data, validation_data=data, callbacks=[stop], verbose=0
        ).history
        self.assertEqual(stop.best, history["val_accuracy"][0])

    def test_a_monitor_without_a_direction_is_refused(self):
        def width(labels, logits):
            return keras.ops.max(logits, axis=-1)

        for metric in (width, keras.metrics.MeanMetricWrapper(width, "width")):
            self.model.compile(metrics=[metric])
            stop = callbacks.EarlyStopping("val_width")
            with self.assertRaisesRegex(
                ValueError,
                "`mode` must be 'max' or 'min' to monitor 'val_width' with "
                "EarlyStopping. Received: mode='auto'. mode='max' is for what",
            ):
                self.check(stop)
            self.check(callbacks.EarlyStopping("val_width", mode="min"))

    def test_callbacks_are_found_in_every_container(self):
        one, two = callbacks.History(), callbacks.TerminateOnNaN()
        for given, expected in (
            (None, []),
            (one, [one]),
            ([one, [two]], [one, two]),
            ((one, two), [one, two]),
            (callbacks.CallbackList([one, two]), [one, two]),
        ):
            self.assertEqual(callback_checks.listed(given), expected)

    def test_a_list_of_keras_trains_like_a_plain_one(self):
        folder = self.get_temp_dir()
        resume = keras_sat.callbacks.Resume(folder)
        history = callbacks.History()
        given = callbacks.CallbackList([history, resume], model=self.model)
        self.model.fit(
            self.images, self.labels, epochs=2, callbacks=given, verbose=0
        )
        self.assertLen(history.history["loss"], 2)
        again = callbacks.CallbackList([keras_sat.callbacks.Resume(folder)])
        other = keras_sat.SATModel(self.tiny_classifier()[0])
        goes_on = other.fit(
            self.images, self.labels, epochs=3, callbacks=again, verbose=0
        )
        self.assertLen(goes_on.history["loss"], 1)
        self.assertFalse(np.isnan(goes_on.history["loss"][0]))
