"""Tests of the objectives, against their formulas."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.predictions.inference import inference
from tests.test_case import TestCase
from tests.training.linear import Linear
from tests.training.problems import EVEN
from tests.training.problems import dataset

pytestmark = pytest.mark.numeric


def smoothed_cross_entropy(labels, logits, smoothing):
    log_probabilities = np.array(tf.nn.log_softmax(logits), "float64")
    targets = np.eye(logits.shape[1])[labels] * (1 - smoothing)
    return -np.sum(
        (targets + smoothing / logits.shape[1]) * log_probabilities, 1
    )


class CrossEntropyTest(TestCase):
    @parameterized.parameters(0.0, 0.1)
    def test_equals_the_formula_for_ids_and_probabilities(self, smoothing):
        logits = np.random.default_rng(0).normal(size=(6, 5))
        labels = np.arange(6) % 5
        expected = smoothed_cross_entropy(labels, logits, smoothing).mean()
        loss = keras_sat.CrossEntropy(label_smoothing=smoothing)
        self.assert_same_up_to_rounding(loss(labels, logits), expected)
        self.assert_same_up_to_rounding(
            loss(np.eye(5)[labels], logits), expected
        )

    def test_weights_count(self):
        logits = np.random.default_rng(0).normal(size=(3, 5))
        labels, weights = np.array([1, 2, 3]), np.array([1.0, 0.0, 2.0])
        each = smoothed_cross_entropy(labels, logits, 0)
        self.assert_same_up_to_rounding(
            keras_sat.CrossEntropy()(labels, logits, weights),
            np.mean(each * weights),
        )

    def test_survives_saving(self):
        loss = keras_sat.CrossEntropy(label_smoothing=0.2)
        config = keras.saving.serialize_keras_object(loss)
        copy = keras.saving.deserialize_keras_object(config)
        self.assertEqual(copy.get_config(), loss.get_config())

    def test_refuses_a_smoothing_outside_0_and_1(self):
        with self.assertRaisesRegex(
            ValueError, "`label_smoothing` must lie in .*Received.*1.5"
        ):
            keras_sat.CrossEntropy(label_smoothing=1.5)


class ObjectivesTest(TestCase):
    def setUp(self):
        super().setUp()
        inner, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(inner)
        self.model.compile(optimizer="sgd")
        noise = np.random.default_rng(0).normal(size=self.images.shape)
        self.adversarial = tf.clip_by_value(
            self.images + 0.1 * noise.astype("float32"), 0, 1
        )

    def training_logits(self, images):
        # Twice the same: batch statistics do not depend on the moving ones.
        return self.model.model(images, training=True)

    def test_adversarial_training_is_the_loss_of_adversarial_images(self):
        loss, logits = keras_sat.AdversarialTraining()(
            self.model, self.images, self.adversarial, self.labels, None
        )
        expected = self.training_logits(self.adversarial)
        self.assert_same_bits(logits, expected)
        self.assert_same_up_to_rounding(
            loss,
            smoothed_cross_entropy(self.labels, expected, 0.1).mean(),
        )

    def test_trades_adds_beta_times_the_divergence(self):
        loss, logits = keras_sat.TRADES(beta=2.0)(
            self.model, self.images, self.adversarial, self.labels, None
        )
        clean = self.training_logits(self.images)
        robust = self.training_logits(self.adversarial)
        p, q = (np.array(tf.nn.softmax(x), "float64") for x in (clean, robust))
        divergence = np.sum(p * np.log(p / q), 1).mean()
        cross_entropy = smoothed_cross_entropy(self.labels, clean, 0.1).mean()
        self.assert_same_bits(logits, robust)
        self.assert_same_up_to_rounding(loss, cross_entropy + 2 * divergence)

    def test_trades_without_penalty_is_training_on_clean_images(self):
        loss, _ = keras_sat.TRADES(beta=0.0)(
            self.model, self.images, self.adversarial, self.labels, None
        )
        clean = self.training_logits(self.images)
        self.assert_same_up_to_rounding(
            loss, smoothed_cross_entropy(self.labels, clean, 0.1).mean()
        )

    def test_trades_weights_both_terms(self):
        weights = np.array([1.0] + [0.0] * (len(self.labels) - 1), "float32")
        loss, _ = keras_sat.TRADES(beta=3.0)(
            self.model, self.images, self.adversarial, self.labels, weights
        )
        clean = self.training_logits(self.images)
        robust = self.training_logits(self.adversarial)
        p, q = (np.array(tf.nn.softmax(x), "float64") for x in (clean, robust))
        first = smoothed_cross_entropy(self.labels, clean, 0.1)[0]
        first += 3 * np.sum(p * np.log(p / q), 1)[0]
        self.assert_same_up_to_rounding(loss, first / len(self.labels))

    def test_the_attack_of_trades_raises_the_divergence(self):
        objective = keras_sat.TRADES()
        predict = inference(self.model.model)
        targets = objective.targets(predict, self.images, self.labels)
        attack = keras_sat.PGD(epsilon=0.1, step_size=0.03)
        adversarial = attack(self.model.model, self.images, targets)
        divergence = keras.losses.KLDivergence(reduction=None)

        def distance(images):
            return divergence(targets, tf.nn.softmax(predict(images)))

        noisy = attack.start(self.images, (1, 2))
        self.assertAllGreater(distance(adversarial) - distance(noisy), 0)

    @parameterized.parameters(keras_sat.TRADES, keras_sat.MART)
    def test_refuses_a_negative_beta(self, kind):
        with self.assertRaisesRegex(
            ValueError, "`beta` must be at least 0. Received: beta=-1"
        ):
            kind(beta=-1)

    @parameterized.parameters(
        keras_sat.AdversarialTraining(),
        keras_sat.TRADES(beta=3.0),
        keras_sat.MART(beta=3.0),
    )
    def test_survives_saving(self, objective):
        config = keras.saving.serialize_keras_object(objective)
        self.assertEqual(
            objective, keras.saving.deserialize_keras_object(config)
        )


class GradientsTest(TestCase):
    """Loss and gradient of an update, against derivatives by hand."""

    def descended(self, objective, linear, labels, weights=None):
        """Returns loss and gradient in the kernel of a linear classifier."""
        model = keras_sat.SATModel(
            linear.network(), attack=EVEN, objective=objective
        )
        model.compile("sgd", loss="auto")
        loss, _, (gradient,), _ = model.descend(
            tf.constant(linear.images),
            tf.constant(linear.adversarial),
            labels,
            weights,
        )
        return loss, gradient

    @parameterized.product(weighted=(False, True), hard=(False, True))
    def test_mart(self, weighted, hard):
        linear = Linear()
        weights = linear.weights if weighted else None
        labels = linear.labels if hard else linear.hard.astype("float32")
        rows, beta = np.arange(8), 2.0
        losses, robust = linear.cross_entropy(linear.adversarial)
        # The likeliest wrong class, and the probabilities without it.
        q = linear.probabilities(linear.adversarial)
        wrong = np.argmax(q - 2 * linear.hard, 1)
        losses += -np.log(1 - q[rows, wrong])
        others = q.copy()
        others[rows, wrong] = 0
        robust += q - others / others.sum(1, keepdims=True)
        # A penalty whose weight, too, depends on the clean logits.
        p = linear.probabilities(linear.images)
        right = p[rows, linear.labels][:, None]
        penalty, clean, adversarial = linear.divergence(beta)
        losses += (1 - right[:, 0]) * penalty
        robust += (1 - right) * adversarial
        in_right = right * (linear.hard - p)
        clean = (1 - right) * clean - in_right * penalty[:, None]
        expected = (
            linear.mean(losses, weights),
            linear.in_kernel(
                (linear.images, clean),
                (linear.adversarial, robust),
                weights=weights,
            ),
        )
        found = self.descended(
            keras_sat.MART(beta=2.0), linear, labels, weights
        )
        self.assert_same_up_to_rounding(found, expected)

    def test_trades(self):
        linear = Linear()
        losses, clean = linear.cross_entropy(linear.images)
        penalty, more, robust = linear.divergence(2.0)
        expected = (
            linear.mean(losses + penalty),
            linear.in_kernel(
                (linear.images, clean + more), (linear.adversarial, robust)
            ),
        )
        found = self.descended(
            keras_sat.TRADES(beta=2.0), linear, linear.labels
        )
        self.assert_same_up_to_rounding(found, expected)

    def test_without_penalty_and_with_two_classes_mart_is_twice_the_loss(self):
        linear = Linear(classes=2)
        found = self.descended(keras_sat.MART(beta=0.0), linear, linear.labels)
        losses, gradients = linear.cross_entropy(linear.adversarial)
        more, further = linear.cross_entropy(
            linear.adversarial, targets=linear.hard
        )
        expected = (
            linear.mean(losses + more),
            linear.in_kernel((linear.adversarial, gradients + further)),
        )
        self.assert_same_up_to_rounding(found, expected)

    def test_mart_stays_finite_where_a_wrong_class_is_certain(self):
        linear = Linear()
        linear.kernel *= 1000
        found = self.descended(keras_sat.MART(), linear, linear.labels)
        for value in found:
            self.assertTrue(np.all(np.isfinite(value)))
        self.assertGreater(np.abs(found[1]).max(), 0.1)

    @pytest.mark.large  # With the kernels for AVX2, oneDNN has no bfloat16.
    def test_mart_trains_with_weights_of_classes_in_graphs_and_in_half(self):
        self.use_deterministic_ops()
        of_classes = {0: 0.5, 1: 2.0, 2: 0.0, 3: 1.0, 4: 1.0}
        results = []
        for policy in "float32", "mixed_bfloat16":
            for eager in False, True:
                keras.config.set_dtype_policy(policy)
                keras.utils.set_random_seed(0)
                x = keras.Input((6,))
                h = keras.layers.Dense(8, activation="silu")(x)
                inner = keras.Model(x, keras.layers.Dense(4)(h))
                start = inner.get_weights()[0]
                model = keras_sat.SATModel(
                    inner, attack=EVEN, objective=keras_sat.MART()
                )
                model.compile("sgd", run_eagerly=eager)
                linear = Linear()
                if eager:
                    weights = [of_classes[y] for y in linear.labels]
                    weights = np.array(weights, "float32")
                    data = dataset(linear.images, linear.labels, 8, weights)
                    model.fit(data, verbose=0)
                else:
                    model.fit(
                        linear.images,
                        linear.labels,
                        class_weight=of_classes,
                        shuffle=False,
                        verbose=0,
                    )
                results.append(model.get_weights()[0] - start)
        self.assert_same_up_to_rounding(results[0], results[1], scale=1)
        cosine = np.sum(results[0] * results[2])
        cosine /= np.linalg.norm(results[0]) * np.linalg.norm(results[2])
        self.assertGreater(cosine, 0.98)
