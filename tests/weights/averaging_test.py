"""Tests of the moving averages of the weights of a model."""

import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.weights import averaging
from tests.processes import finish
from tests.processes import start
from tests.test_case import PASS
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class AveragingTest(TestCase):
    def trained(self, optimizer, steps=1):
        """Returns a model whose one weight begins at 0, with gradient 1."""
        model = keras.Sequential(
            [keras.Input((1,)), keras.layers.Dense(1, use_bias=False)]
        )
        model.set_weights([np.zeros((1, 1))])
        model.compile(optimizer, loss="mean_absolute_error")
        for _ in range(steps):
            model.train_on_batch(np.ones((1, 1)), -9 * np.ones((1, 1)))
        return model

    def averages_by_hand(self, momentum, weights):
        average = 0.0
        for step, weight in enumerate(weights):
            average = weight if step == 0 else average
            average = momentum * average + (1 - momentum) * weight
        return average

    @parameterized.parameters(False, True)
    def test_the_averages_are_lent_and_the_weights_come_back(self, scaled):
        optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model = self.trained(optimizer, steps=3)
        with averaging.averaged_weights(model):
            lent = model.get_weights()[0].item()
        # The weight was -1, -2 and -3.
        expected = self.averages_by_hand(0.5, [-1, -2, -3])
        self.assertNear(lent, expected, 1e-6)
        self.assertNear(model.get_weights()[0].item(), -3, 1e-6)

    def test_the_weights_come_back_after_an_error(self):
        optimizer = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
        model = self.trained(optimizer, steps=2)
        with self.assertRaises(RuntimeError):
            with averaging.averaged_weights(model):
                raise RuntimeError
        self.assertNear(model.get_weights()[0].item(), -2, 1e-6)

    @parameterized.named_parameters(
        ("not_wanted", {"use_ema": True}, 2, False),
        ("no_averages", {}, 2, True),
        ("no_step", {"use_ema": True}, 0, True),
    )
    def test_nothing_happens(self, arguments, steps, wanted):
        model = self.trained(keras.optimizers.SGD(1.0, **arguments), steps)
        with averaging.averaged_weights(model, wanted):
            self.assertNear(model.get_weights()[0].item(), -steps, 1e-6)


class Recorder(keras.callbacks.Callback):
    """Notes the weights after each batch, and acts after each epoch."""

    def __init__(self, then=None):
        super().__init__()
        self.weights = []
        self.then = then

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.model.get_weights())

    def on_epoch_end(self, epoch, logs=None):
        if self.then:
            self.then(self.model)


class SATModelAveragesTest(TestCase):
    """Tests with batch normalization, and a momentum of 0.5."""

    def setUp(self):
        super().setUp()
        inner, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(
            inner,
            attack=keras_sat.PGD(epsilon=0.05, step_size=0.05, steps=1),
            # Without signs, which rounding changes next to 0.
            eval_attack=keras_sat.PGD(
                epsilon=0.5,
                step_size=0.5,
                steps=1,
                norm="l2",
                random_start=False,
            ),
        )
        # Large steps, so that averages and weights are far from each other.
        self.compile(keras.optimizers.SGD)

    def compile(self, optimizer, **options):
        optimizer = optimizer(0.3, use_ema=True, ema_momentum=0.5, **options)
        self.model.compile(optimizer, weight_decay=1e-2)
        return optimizer

    def fit(self, then=None, **options):
        """Returns the weights after each of 4 batches."""
        recorder = Recorder(then)
        data = tf.data.Dataset.from_tensor_slices((self.images, self.labels))
        self.model.fit(
            data.batch(8), callbacks=[recorder], verbose=0, **options
        )
        return recorder.weights

    def averages(self, weights):
        """Returns the averages of weights, computed by hand."""
        averages = weights[0]
        for new in weights[1:]:
            averages = [
                0.5 * a + 0.5 * w for a, w in zip(averages, new, strict=True)
            ]
        return averages

    def assert_weights(self, weights, expected):
        self.assertLen(weights, len(expected))
        for weight, value in zip(weights, expected, strict=True):
            self.assert_same_up_to_rounding(
                weight, value, roundings=16, scale=1
            )

    def assert_differs(self, weights, expected):
        differences = [
            np.abs(weight - value).max()
            for weight, value in zip(weights, expected, strict=True)
        ]
        # All but the bias before batch normalization, which has no gradient.
        self.assertGreater(sorted(differences)[1], 1e-3, differences)

    @parameterized.parameters("trainable", "moving statistics")
    def test_after_fit_the_averages_are_the_weights(self, kind):
        weights = self.fit()
        averages = self.averages(weights)
        self.assert_differs(weights[-1], averages)
        chosen = [
            v.trainable == (kind == "trainable")
            for v in self.model.model.weights
        ]
        self.assertIn(True, chosen)
        for weight, average, take in zip(
            self.model.model.get_weights(), averages, chosen, strict=True
        ):
            if take:
                self.assert_same_up_to_rounding(
                    weight, average, roundings=16, scale=1
                )

    def test_validation_sees_the_averages_and_training_goes_on(self):
        seen = []
        weights = self.fit(
            then=lambda model: seen.append(model.model.get_weights()),
            epochs=2,
            validation_data=(self.images, self.labels),
        )
        history = self.model.history.history

        def evaluate(weights):
            self.model.model.set_weights(weights)
            return self.model.evaluate(
                self.images, self.labels, verbose=0, return_dict=True
            )

        for epoch, steps in enumerate((4, 8)):
            # After each epoch the live weights are there again.
            self.assert_weights(seen[epoch], weights[steps - 1])
            expected = evaluate(self.averages(weights[:steps]))
            for name in ("loss", "robust_accuracy", "clean_accuracy"):
                value = history[f"val_{name}"][epoch]
                self.assert_same_up_to_rounding(value, expected[name], 3 * PASS)
            live = evaluate(weights[steps - 1])
            self.assertNotAlmostEqual(live["loss"], expected["loss"], places=3)

    @parameterized.parameters("save", "checkpoint", "export", "weights")
    @pytest.mark.large
    def test_what_is_written_during_fit_holds_the_averages(self, how):
        path = os.path.join(self.get_temp_dir(), "best")
        callbacks = {
            "save": lambda model: model.save(f"{path}.keras"),
            "export": lambda model: model.export(path, verbose=False),
            "weights": lambda model: model.save_weights(f"{path}.weights.h5"),
        }
        recorder = Recorder(callbacks.get(how))
        checkpoint = keras.callbacks.ModelCheckpoint(
            f"{path}.keras",
            monitor="val_robust_accuracy",
            mode="max",
            save_best_only=True,
        )
        self.model.fit(
            self.images,
            self.labels,
            8,
            verbose=0,
            validation_data=(self.images, self.labels),
            callbacks=[
                recorder,
                *([checkpoint] if how == "checkpoint" else []),
            ],
        )
        averages = self.averages(recorder.weights)
        if how == "export":
            served = keras_sat.load_classifier(path)
            self.model.model.set_weights(averages)
            self.assert_same_up_to_rounding(
                served(self.images), self.model.model(self.images)
            )
            return
        if how == "weights":
            self.model.load_weights(f"{path}.weights.h5")
            loaded = self.model
        else:
            loaded = keras_sat.load_model(f"{path}.keras")
        self.assert_weights(loaded.model.get_weights(), averages)

    def test_averages_of_all_weights_go_on_after_saving(self):
        first = []
        path = os.path.join(self.get_temp_dir(), "model.keras")
        weights = self.fit(then=lambda model: model.save(path))
        first = self.averages(weights)
        self.model = keras_sat.load_model(path)
        again = self.fit()
        averages = first
        for new in again:
            averages = self.averages([averages, new])
        self.assert_weights(self.model.model.get_weights(), averages)

    def test_weights_set_by_hand_are_evaluated_as_they_are(self):
        self.fit()
        zeros = [np.zeros_like(w) for w in self.model.model.get_weights()]
        self.model.model.set_weights(zeros)
        loss = self.model.evaluate(self.images, self.labels, verbose=0)[0]
        self.assertAllClose(loss, np.log(5), rtol=1e-5)

    def test_an_interrupted_fit_leaves_the_live_weights(self):
        def interrupt(model):
            raise KeyboardInterrupt

        recorder = Recorder(interrupt)
        with self.assertRaises(KeyboardInterrupt):
            self.model.fit(
                self.images, self.labels, callbacks=[recorder], verbose=0
            )
        weights = self.model.model.get_weights()
        self.assert_weights(weights, recorder.weights[-1])
        path = os.path.join(self.get_temp_dir(), "model.keras")
        self.model.save(path)
        loaded = keras_sat.load_model(path).model.get_weights()
        self.assert_weights(loaded, weights)

    def test_loss_scaling_and_train_on_batch_average_as_well(self):
        optimizer = self.compile(keras.optimizers.SGD)
        scaled = keras.optimizers.LossScaleOptimizer(optimizer)
        self.model.compile(scaled, weight_decay=1e-2)
        weights = []
        for _ in range(3):
            self.model.train_on_batch(self.images, self.labels)
            weights.append(self.model.model.get_weights())
        averages = self.averages(weights)
        self.assert_differs(weights[-1], averages)
        with averaging.averaged_weights(self.model):
            self.assert_weights(self.model.model.get_weights(), averages)
        self.assert_weights(self.model.model.get_weights(), weights[-1])

    @pytest.mark.large
    def test_averages_of_two_replicas_are_restored_and_loaded(self):
        output, _ = finish(start("averages"), seconds=400)
        found = json.loads(output.splitlines()[-1])
        losses, restored = found["losses"]
        self.assertEqual(restored, min(losses))
        self.assertGreater(losses[-1], restored + 0.1)
        self.assertEqual(found["loaded"], [True, True])
