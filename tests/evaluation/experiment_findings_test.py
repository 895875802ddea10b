"""Each finding of an experiment on a model built to trigger it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from scipy.stats import binomtest

from keras_sat import data
from keras_sat.attacks import APGD
from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.evaluation import experiment_findings
from keras_sat.evaluation.robustness import evaluate_robustness
from tests.attacks import problems
from tests.evaluation.small_experiments import experiments
from tests.evaluation.small_experiments import found
from tests.evaluation.small_experiments import linear
from tests.evaluation.small_experiments import quantised
from tests.evaluation.small_experiments import survivors
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class SoundModelTest(TestCase):
    @parameterized.parameters(("linf", 0.1), ("l2", 0.6))
    @pytest.mark.large
    def test_a_network_trained_for_a_moment_gives_no_warning(
        self, norm, radius
    ):
        keras.utils.set_random_seed(0)
        train, test = data.digits(64, image_size=8)
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                layers.Conv2D(16, 3, strides=2),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.Flatten(),
                layers.Dense(32, activation="relu"),
                layers.Dense(10),
            ]
        )
        for step, (images, labels) in enumerate(train.repeat(8)):
            if not step:
                model.compile(
                    keras.optimizers.Adam(3e-3),
                    keras.losses.SparseCategoricalCrossentropy(True),
                )
            model.train_on_batch(images, labels)
        images, labels = next(iter(test.unbatch().batch(64)))
        attack = APGD(
            epsilon=radius, norm=norm, loss="dlr", target_classes=9, steps=30
        )
        # So confident that the cross-entropy is flat.
        confident = keras.Sequential([model, layers.Rescaling(100.0)])
        for network in (model, confident):
            case = experiments(network, images, labels, attack)
            self.assertGreater(np.mean(case.right), 0.9)
            self.assertBetween(np.mean(case.withstood), 0.05, 0.8)
            self.assertEqual(found(case), {})


class ValueRangeTest(TestCase):
    def case(self, made_for, given, count=None):
        """Experiments on images in another range than the model takes."""
        problem = problems.Linear(5, value_range=made_for)
        low, high = made_for
        shares = (problem.images - low) / (high - low)
        images = shares * (given[1] - given[0]) + given[0]
        attack = APGD(epsilon=0.05, steps=5, value_range=given)
        return experiments(
            lambda x: problem.model(x),
            images[:count].astype("float32"),
            problem.labels[:count],
            attack,
        )

    @parameterized.parameters(
        ((0, 255), (0.0, 1.0)),
        ((0, 255), (-1.0, 1.0)),
        ((-1, 1), (0.0, 1.0)),
        ((-1, 1), (0.0, 255.0)),
        ((0, 1), (0.0, 255.0)),
        ((0, 1), (-1.0, 1.0)),
    )
    def test_the_range_that_a_model_was_made_for_is_found(self, made, given):
        case = self.case(made, given)
        share = np.mean(case.right)
        self.assertLess(share, 0.6)
        finding = experiment_findings.another_value_range(case)
        self.assertEqual(
            finding.found,
            f"Scaled to {made}, 100.0% of 40 images are classified right; in "
            f"`value_range`={given}, {share:.1%}.",
        )
        self.assertIn(f"value_range={made}), on", finding.remedy)

    @parameterized.parameters((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-2, 5))
    def test_nothing_is_found_in_the_right_range(self, *made_for):
        case = self.case(made_for, made_for)
        self.assertEqual(np.mean(case.right), 1.0)
        self.assertIsNone(experiment_findings.another_value_range(case))

    def test_few_images_prove_nothing(self):
        case = self.case((0, 255), (0.0, 1.0), count=8)
        self.assertLess(np.mean(case.right), 0.6)
        self.assertIsNone(experiment_findings.another_value_range(case))

    def test_chance_is_that_of_the_exact_sign_test(self):
        generator = np.random.default_rng(0)
        for share in (0.1, 0.5, 0.9):
            one, other = generator.uniform(size=(2, 50)) < [[share], [0.5]]
            wins, losses = np.sum(one & ~other), np.sum(other & ~one)
            expected = binomtest(wins, wins + losses, alternative="greater")
            self.assertAllClose(
                experiment_findings.sign_test(one, other), expected.pvalue
            )
        self.assertEqual(experiment_findings.sign_test(one, one), 1.0)

    @parameterized.parameters(0.0, 0.03)
    @pytest.mark.large
    def test_an_evaluation_says_how_to_call_it_instead(self, epsilon):
        problem = problems.Linear(5, value_range=(0, 255), scale=10)

        def network(x):
            return problem.model(x)

        images = problem.images / 255
        attack = PGD(steps=2)
        report = evaluate_robustness(
            network, images, problem.labels, attack, epsilon, verbose=0
        )
        self.assertLess(report.clean_accuracy, 0.6)
        self.assertEqual(report.warnings[0].name, "value_range")
        self.assertIn("value_range=(0, 255)", str(report))
        report = evaluate_robustness(
            network,
            problem.images,
            problem.labels,
            attack,
            epsilon,
            value_range=(0, 255),
            verbose=0,
        )
        self.assertEqual(report.clean_accuracy, 1.0)
        self.assertNotIn("value_range", [w.name for w in report.warnings])


class PredictionTest(TestCase):
    @pytest.mark.large
    def test_randomised_predictions(self):
        model, images, labels, attack = linear()

        def noisy(x):
            return model(x + tf.random.normal(tf.shape(x), stddev=0.01))

        names = found(experiments(noisy, images, labels, attack))
        self.assertRegex(
            names["randomised_predictions"], r"differ by up to 0\.\d+"
        )
        self.assertNotIn("batch_statistics", names)
        case = experiments(noisy, images, labels, attack, averaged=True)
        self.assertNotIn("randomised_predictions", found(case))

    @pytest.mark.large
    def test_softmax_outputs_given_as_logits(self):
        model, images, labels, attack = linear()
        probabilities = keras.Sequential([model, keras.layers.Softmax()])

        class Subclassed(keras.Model):
            def call(self, x):
                return tf.nn.softmax(model(x))

        for wrapped in (lambda x: probabilities(x), Subclassed()):
            case = experiments(wrapped, images, labels, attack)
            self.assertIn("probabilities_as_logits", found(case))

    @pytest.mark.large
    def test_batch_normalization_in_training_mode(self):
        model, images, labels = self.tiny_classifier()
        normalization = model.get_layer("normalization")
        # The moving statistics do not change, as if each call were the first.
        normalization.momentum = 1.0
        attack = PGD(epsilon=0.01)
        case = experiments(
            lambda x: model(x, training=True), images, labels, attack
        )
        names = found(case)
        self.assertIn("batch_statistics", names)
        self.assertNotIn("randomised_predictions", names)
        self.assertNotIn(
            "batch_statistics",
            found(experiments(model, images, labels, attack)),
        )


class GradientTest(TestCase):
    def test_zero_gradients(self):
        model, images, labels, attack = linear()
        bright = images.mean((1, 2, 3)) > np.quantile(
            images.mean((1, 2, 3)), 0.7
        )
        threshold = images.mean((1, 2, 3))[bright].min()

        def partly(x):
            masked = tf.reduce_mean(x, [1, 2, 3]) >= threshold
            return tf.where(masked[:, None], model(quantised(x)), model(x))

        share = f"margin on {bright.mean():.1%}"
        self.assertIn(
            share,
            found(experiments(partly, images, labels, attack))[
                "zero_gradients"
            ],
        )

    @pytest.mark.large
    def test_no_gradients_at_all_are_zero_gradients(self):
        model, images, labels, _ = linear()
        attack = Square(epsilon=0.05, queries=50)

        def opaque(x):
            return model(tf.cast(tf.cast(16 * x, tf.int32), tf.float32) / 16)

        names = found(experiments(opaque, images, labels, attack))
        self.assertIn("margin on 100.0%", names["zero_gradients"])

    @pytest.mark.large
    def test_a_flat_cross_entropy_that_hid_something(self):
        _, images, labels, _ = linear()
        confident = problems.Linear(5, scale=3000.0).model
        names = {}
        for loss in ("cross_entropy", "dlr"):
            attack = PGD(epsilon=0.05, step_size=0.01, loss=loss)
            names[loss] = found(experiments(confident, images, labels, attack))
        self.assertRegex(
            names["cross_entropy"]["zero_gradients"],
            r"cross-entropy is 0 on [1-9].*margin on 0.0%",
        )
        self.assertEqual(names["dlr"], {})

    @pytest.mark.large
    def test_non_finite_gradients(self):
        model, images, labels, attack = linear()
        images[:10, 0, 0] = 0.0

        def rooted(x):
            return model(x) + 0.01 * tf.sqrt(x[:, 0, 0]) * tf.one_hot(0, 5)

        names = found(experiments(rooted, images, labels, attack))
        self.assertIn("on 25.0% of", names["non_finite_gradients"])
        self.assertNotIn("zero_gradients", names)


class StrengthTest(TestCase):
    @pytest.mark.large
    def test_more_steps_still_lower_the_accuracy(self):
        model, images, labels, attack = linear()
        weak = PGD(epsilon=0.05, steps=2, step_size=0.005)
        strong = survivors(model, images, labels, attack)
        case = experiments(model, images, labels, weak)
        fall = np.mean(case.withstood & ~strong)
        self.assertGreater(fall, 0.1)
        names = found(case)
        self.assertEqual(list(names), ["not_converged"])
        self.assertIn(f"breaks {fall:.1%}", names["not_converged"])

    @parameterized.parameters("linf", "l2")
    @pytest.mark.large
    def test_robust_at_a_huge_epsilon(self, norm):
        model, images, labels, _ = linear()
        attack = APGD(epsilon=0.01, norm=norm, steps=5)

        @tf.custom_gradient
        def mirrored(x):
            return x, tf.negative

        def reversed_gradient(x):
            return model(mirrored(x))

        names = found(experiments(reversed_gradient, images, labels, attack))
        radius = "0.5" if norm == "linf" else "2"
        self.assertRegex(
            names["robust_at_huge_epsilon"], rf"at epsilon {radius}\."
        )
        self.assertNotIn("zero_gradients", names)

    @pytest.mark.large
    def test_robust_to_one_step_but_not_to_several(self):
        epsilon = 0.1
        generator = np.random.default_rng(0)
        signs = generator.choice([-1.0, 1.0], (4, 4, 1)).astype("float32")
        images = generator.uniform(0.3, 0.7, (40, 4, 4, 1)).astype("float32")

        def periods(x):
            return tf.reduce_mean(x * signs, [1, 2, 3]) / epsilon

        # A whole step leads to the next peak, past the valley.
        rest = np.round(periods(images)) - periods(images)
        images += epsilon * np.reshape(rest, (-1, 1, 1, 1)) * signs

        def wavy(x):
            wave = tf.cos(2 * np.pi * periods(x))
            return tf.stack([wave, tf.zeros_like(wave)], -1)

        labels = np.zeros(40, "int32")
        attack = PGD(epsilon=epsilon, steps=20, step_size=0.02)
        names = found(experiments(wavy, images, labels, attack))
        self.assertEqual(
            names,
            {
                "catastrophic_overfitting": "100.0% accuracy after one step, "
                "0.0% after ten."
            },
        )
