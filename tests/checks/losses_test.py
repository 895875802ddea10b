"""Tests of the losses and metrics that are accepted and refused."""

import functools

import keras
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import checks
from tests.test_case import TestCase

losses, metrics = keras.losses, keras.metrics
saved = keras.saving.serialize_keras_object


class OwnLoss(keras.losses.Loss):
    """A loss that takes probabilities, which its attribute tells."""

    from_logits = False

    def call(self, y_true, y_pred):
        return -tf.reduce_sum(y_true * tf.math.log(y_pred), axis=-1)


def own_loss(y_true, y_pred, from_logits=False):
    del y_true, from_logits
    return tf.reduce_sum(y_pred, axis=-1)


ON_PROBABILITIES = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
    "CategoricalCrossentropy",
    losses.sparse_categorical_crossentropy,
    losses.categorical_focal_crossentropy,
    losses.SparseCategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy(),
    losses.CategoricalCrossentropy(label_smoothing=0.1),
    losses.CategoricalFocalCrossentropy(),
    losses.BinaryCrossentropy(),
    losses.BinaryFocalCrossentropy(),
    OwnLoss(),
    own_loss,
    functools.partial(losses.categorical_crossentropy, label_smoothing=0.1),
    ["sparse_categorical_crossentropy"],
    {"logits": losses.SparseCategoricalCrossentropy()},
    saved(losses.SparseCategoricalCrossentropy()),
)


class LossesTest(TestCase):
    def setUp(self):
        super().setUp()
        inner, self.images, self.labels = self.tiny_classifier()
        attack = keras_sat.PGD(steps=1, random_start=False)
        self.model = keras_sat.SATModel(inner, attack, attack)

    @parameterized.parameters(*map(tuple, zip(ON_PROBABILITIES)))
    def test_a_loss_on_probabilities_is_refused(self, loss):
        with self.assertRaisesRegex(
            ValueError,
            "`loss` must be of logits.*Received.*rossentropy.*from_logits=True"
            if loss is not own_loss and not isinstance(loss, OwnLoss)
            else "`loss` must be of logits.*from_logits=True",
        ):
            self.model.compile("sgd", loss=loss)
        # What was compiled before is still there.
        self.assertIsInstance(self.model.loss, keras_sat.CrossEntropy)

    @parameterized.parameters(
        "kl_divergence", losses.KLDivergence(), losses.Poisson(), "poisson"
    )
    def test_one_without_a_form_for_logits_is_refused(self, loss):
        with self.assertRaisesRegex(
            ValueError, "`loss` must be of logits.*Use `keras_sat.CrossEntropy"
        ):
            self.model.compile("sgd", loss=loss)

    @parameterized.parameters(
        (losses.SparseCategoricalCrossentropy(from_logits=True),),
        (saved(losses.SparseCategoricalCrossentropy(from_logits=True)),),
        (
            functools.partial(
                losses.sparse_categorical_crossentropy, from_logits=True
            ),
        ),
    )
    def test_a_loss_of_logits_is_the_cross_entropy(self, loss):
        self.model.compile("sgd", loss=loss)
        value, *_ = self.model.evaluate(self.images, self.labels, verbose=0)
        self.model.compile("sgd", loss=keras_sat.CrossEntropy())
        expected, *_ = self.model.evaluate(self.images, self.labels, verbose=0)
        self.assertAllClose(value, expected, rtol=1e-5)

    @parameterized.parameters(
        "mse", "categorical_hinge", losses.CosineSimilarity()
    )
    def test_other_losses_are_taken(self, loss):
        self.model.compile("sgd", loss=loss)
        self.assertIs(self.model.loss, loss)

    @parameterized.parameters(
        "crossentropy",
        "sparse_categorical_crossentropy",
        "AUC",
        metrics.AUC(),
        metrics.SparseCategoricalCrossentropy(),
        metrics.KLDivergence(),
        [["accuracy", metrics.CategoricalCrossentropy()]],
    )
    def test_a_metric_on_probabilities_is_refused(self, metric):
        for name in ("metrics", "weighted_metrics"):
            with self.assertRaisesRegex(
                ValueError, f"`{name}` must be of logits.* Received.*"
            ):
                self.model.compile("sgd", **{name: [metric]})

    def test_metrics_of_logits_are_taken(self):
        self.model.compile(
            metrics=[
                "accuracy",
                metrics.SparseCategoricalCrossentropy(from_logits=True),
                metrics.SparseTopKCategoricalAccuracy(2, name="top"),
            ]
        )
        logs = self.model.evaluate(
            self.images, self.labels, verbose=0, return_dict=True
        )
        self.assertEqual(logs["accuracy"], logs["robust_accuracy"])
        self.assertGreaterEqual(logs["top"], logs["accuracy"])

    @parameterized.parameters("loss", "metrics")
    def test_an_unknown_name_is_refused_at_once(self, name):
        with self.assertRaisesRegex(
            ValueError, f"`{name}` must be known to Keras.*Received {name}='no'"
        ):
            self.model.compile(**{"optimizer": "sgd", name: "no"})

    def test_looking_at_a_name_uses_up_no_name(self):
        checks.takes_logits("metrics", ["MeanSquaredError"])
        self.assertEqual(metrics.Accuracy().name, "accuracy")
