"""Tests of single steps from noisy images, against their formulas."""

from unittest import mock

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import norms
from tests.attacks.problems import Linear
from tests.test_case import TestCase


class SingleStepTest(TestCase):
    def setUp(self):
        super().setUp()
        # Of two classes, whose loss rises in the same direction everywhere.
        self.problem = Linear(num_classes=2)
        other = self.problem.weights[:, 1 - self.problem.labels]
        right = self.problem.weights[:, self.problem.labels]
        shape = self.problem.images.shape
        self.gradient = (other - right).T.reshape(shape)

    def attacked(self, attack):
        """Returns adversarial images, and the noise that they began with."""
        noise, random = [], type(attack.ball).random

        def noted(*arguments):
            noise.append(random(*arguments))
            return noise[-1]

        with mock.patch.object(type(attack.ball), "random", noted):
            found = attack(
                self.problem.model, self.problem.images, self.problem.labels
            )
        return found.numpy(), noise[0].numpy()

    @parameterized.parameters(
        (keras_sat.FGSMRS, 1.0, 1.25, True), (keras_sat.NFGSM, 2.0, 1.0, False)
    )
    def test_a_step_is_that_of_the_authors(self, make, noise, step, projected):
        # So large that noise and step leave the range.
        epsilon = 0.4
        found, eta = self.attacked(make(epsilon))
        self.assertAllInRange(eta, -noise * epsilon, noise * epsilon)
        self.assertGreater(np.abs(eta).max(), 0.95 * noise * epsilon)
        clean = self.problem.images.astype("float64")
        delta = np.clip(clean + eta, 0, 1) - clean
        delta = delta + step * epsilon * np.sign(self.gradient)
        if projected:
            delta = np.clip(delta, -epsilon, epsilon)
        self.assert_same_up_to_rounding(found, np.clip(clean + delta, 0, 1), 10)

    def test_the_gradient_is_that_at_the_noisy_images_in_the_range(self):
        seen = []

        def model(images):
            seen.append(images)
            return self.problem.model(images)

        attack = keras_sat.NFGSM(0.4)
        images = np.clip(2 * self.problem.images - 0.5, 0, 1)
        attack(model, images, self.problem.labels)
        self.assertAllInRange(seen[0], 0.0, 1.0)
        self.assertNotAllClose(seen[0], images, atol=0.1)

    def test_noise_of_n_fgsm_leaves_the_ball_and_that_of_the_other_does_not(
        self,
    ):
        clean = self.problem.images
        for make, low, high in (
            (keras_sat.FGSMRS, 0.0999, 0.1001),
            (keras_sat.NFGSM, 0.25, 0.3001),
        ):
            found, _ = self.attacked(make(0.1))
            self.assertBetween(np.abs(found - clean).max(), low, high)

    def test_without_noise_it_is_fgsm(self):
        self.use_deterministic_ops()
        arguments = self.problem.images, self.problem.labels
        one, two = (
            attack(self.problem.model, *arguments)
            for attack in (
                keras_sat.SingleStep(epsilon=0.1, step_size=0.1, noise=0.0),
                keras_sat.FGSM(0.1),
            )
        )
        self.assert_same_bits(one, two)

    def test_in_l2_the_step_has_the_length_of_the_radius(self):
        attack = keras_sat.NFGSM(0.1, norm="l2")
        found, eta = self.attacked(attack)
        moved = found - self.problem.images - eta
        self.assertAllClose(
            norms.get("l2").size(moved).numpy().ravel(),
            np.full(40, 0.1),
            rtol=1e-5,
        )

    def test_another_radius_keeps_the_shares(self):
        for make in keras_sat.FGSMRS, keras_sat.NFGSM:
            resized = make(0.1).resized(0.2)
            self.assertAllClose(resized.step_size, make(0.2).step_size)
            self.assertEqual(resized.noise, make(0.2).noise)
        half = {"epsilon": tf.constant(0.5), "step_size": tf.constant(0.5)}
        self.assertAllClose(
            *(
                attack(
                    self.problem.model,
                    self.problem.images,
                    self.problem.labels,
                    seed=(1, 2),
                    scale=scale,
                )
                for attack, scale in (
                    (keras_sat.NFGSM(0.2), half),
                    (keras_sat.NFGSM(0.1), None),
                )
            )
        )

    def test_robustness_is_not_measured_by_what_leaves_the_ball(self):
        outside, data = (
            keras_sat.NFGSM(0.1),
            (
                self.problem.images,
                self.problem.labels,
            ),
        )
        model = keras_sat.SATModel(self.problem.model, attack=outside)
        for name, use in (
            (
                "eval_attack",
                lambda: keras_sat.SATModel(
                    self.problem.model, eval_attack=outside
                ),
            ),
            ("attack", lambda: model.evaluate(*data, attack=outside)),
            ("attacks", lambda: keras_sat.AutoAttack(attacks=[outside])),
            (
                "attacks",
                lambda: keras_sat.evaluate_robustness(
                    self.problem.model, data, outside
                ),
            ),
        ):
            with self.assertRaisesRegex(
                ValueError,
                f"`{name}` must stay within `epsilon`, to measure robustness. "
                "Received.*SingleStep",
            ):
                use()
        # A step across the whole ball ends where FGSM does, whatever the noise.
        epsilon = self.problem.epsilons("linf")[1]
        accuracies = [
            keras_sat.evaluate_robustness(
                self.problem.model, data, attack, diagnose=False, verbose=0
            ).robust_accuracy
            for attack in (
                keras_sat.FGSMRS(epsilon, step_size=2.1 * epsilon),
                keras_sat.FGSM(epsilon),
            )
        ]
        self.assertEqual(*accuracies)
        self.assertBetween(accuracies[0], 0.1, 0.9)

    @parameterized.parameters(
        ({"step_size": 0}, "step_size"), ({"noise": -1}, "noise")
    )
    def test_wrong_values_are_refused(self, options, name):
        with self.assertRaisesRegex(ValueError, f"`{name}` must.*Received"):
            keras_sat.SingleStep(**options)
