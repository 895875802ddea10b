"""The arguments, restarts and gradients of every attack."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import losses
from keras_sat.attacks.attack import check_untargeted
from keras_sat.predictions.inference import inference
from tests.attacks import problems
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class AttackTest(TestCase):
    def test_uint8_images_are_scaled_once(self):
        model, images, labels = self.tiny_classifier()
        grey = np.round(np.asarray(images) * 255).astype("uint8")
        attack = keras_sat.PGD(epsilon=0.1, random_start=False, steps=2)
        self.assert_same_bits(
            attack(model, grey, labels),
            attack(model, grey * np.float32(1 / 255), labels),
        )

    def test_more_restarts_keep_the_worst_of_each_image(self):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(epsilon=0.06, step_size=0.06, steps=1)
        many = attack.replace(restarts=8)
        one = attack(model, images, labels, seed=(3, 4))
        worst = many(model, images, labels, seed=(3, 4))
        predict = inference(model)
        missed = attack.succeeds(labels, predict(one))
        still_missed = attack.succeeds(labels, predict(worst))
        self.assertAllEqual(missed & ~still_missed, tf.zeros_like(missed))
        loss_one = losses.cross_entropy(labels, predict(one))
        loss_worst = losses.cross_entropy(labels, predict(worst))
        same = missed == still_missed
        rise = tf.where(same, loss_worst - loss_one, 0)
        self.assertAllGreaterEqual(rise, -1e-6)
        self.assertGreater(tf.reduce_sum(rise), 0)

    def test_a_misclassified_attempt_beats_a_higher_loss(self):
        # The loss is highest at the clean image, which is classified right.
        def model(images):
            x = tf.reduce_sum(images, 1)
            return tf.stack([tf.zeros_like(x), x - 0.5], 1)

        def loss(labels, logits):
            return -logits[:, 1]

        attack = keras_sat.PGD(
            epsilon=0.4, step_size=1e-6, steps=1, restarts=20, loss=loss
        )
        images = np.full((16, 1), 0.4, "float32")
        adversarial = attack(model, images, np.zeros(16, "int32"), (7, 8))
        self.assertAllGreater(adversarial, 0.5)

    @parameterized.parameters("linf", "l2")
    def test_a_scaled_call_is_that_of_a_smaller_attack(self, norm):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(epsilon=0.2, step_size=0.08, steps=3, norm=norm)
        smaller = attack.replace(epsilon=0.05, step_size=0.04)

        @tf.function
        def scaled(epsilon, step_size):
            scale = {"epsilon": epsilon, "step_size": step_size}
            return attack(model, images, labels, seed=[1, 2], scale=scale)

        run = tf.function(lambda: smaller(model, images, labels, seed=[1, 2]))
        self.assert_same_bits(scaled(0.25, 0.5), run())
        # A ball of no size holds the clean image only.
        self.assertAllEqual(scaled(0.0, 0.0), images)
        self.assertEqual((attack.epsilon, attack.step_size), (0.2, 0.08))

    @parameterized.parameters("steps", "epsilon", "restarts")
    def test_bad_kinds_are_refused(self, name):
        with self.assertRaisesRegex(TypeError, f"`{name}` .*Received.*'x'"):
            keras_sat.PGD(**{name: "x"})

    def test_images_out_of_range_are_refused(self):
        model, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex(
            ValueError,
            r"`images` must lie in `value_range`=\(0.0, 1.0\). Received "
            r"values in \[.*\]. Divide the images by 255, or pass uint8.",
        ):
            keras_sat.PGD()(model, np.asarray(images) * 255, labels)

    def test_a_model_without_gradients_is_refused(self):
        _, images, labels = self.tiny_classifier()

        def model(images):
            return tf.one_hot(tf.ones(len(images), tf.int32), 5)

        with self.assertRaisesRegex(ValueError, "`model` must be different"):
            keras_sat.PGD()(model, images, labels)

    def test_the_same_seed_gives_the_same_images(self):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(epsilon=0.1)
        first = attack(model, images, labels, seed=(1, 2))
        self.assertAllEqual(first, attack(model, images, labels, seed=(1, 2)))
        self.assertNotAllClose(first, attack(model, images, labels, (1, 3)))
        keras.utils.set_random_seed(5)
        one, two = (attack(model, images, labels) for _ in range(2))
        self.assertNotAllClose(one, two)
        keras.utils.set_random_seed(5)
        self.assertAllEqual(one, attack(model, images, labels))

    def test_leaves_weights_and_batch_statistics_unchanged(self):
        model, images, labels = self.tiny_classifier()
        before = model.get_weights()
        keras_sat.PGD(restarts=2)(model, images, labels)
        self.assert_same_bits(model.get_weights(), before)

    def test_one_hot_labels_give_the_attack_of_class_ids(self):
        model, images, labels = self.tiny_classifier()
        attack = keras_sat.PGD(epsilon=0.1, random_start=False, steps=3)
        one_hot = keras.ops.one_hot(labels, 5)
        self.assert_same_bits(
            attack(model, images, labels), attack(model, images, one_hot)
        )

    @parameterized.parameters("linf", "l2")
    def test_projects_onto_the_ball_and_the_range(self, norm):
        attack = PGD(epsilon=0.1, norm=norm, value_range=(0.0, 2.0))
        clean = np.full((2, 3, 3, 1), 1.0, "float32")
        clean[1] = 1.95
        found = attack.project(clean + 5.0, clean)
        step = 0.2 if norm == "linf" else 0.2 / 3
        self.assertAllClose(found[0], clean[0] + step)
        self.assertAllClose(found[1], tf.minimum(clean[1] + step, 2.0))

    def test_targeted_attacks_want_what_others_avoid(self):
        logits = tf.constant([[2.0, 1.0], [0.0, 3.0]])
        labels = tf.constant([0, 0])
        away, towards = PGD(loss="margin"), PGD(loss="margin", targeted=True)
        self.assertAllEqual(away.succeeds(labels, logits), [False, True])
        self.assertAllEqual(towards.succeeds(labels, logits), [True, False])
        self.assertAllClose(away.objective(labels, logits), [-1.0, 3.0])
        self.assertAllClose(towards.objective(labels, logits), [1.0, -3.0])

    def test_targeted_attacks_are_refused_where_labels_are_right(self):
        check_untargeted("attacks", [PGD(), FAB()])
        with self.assertRaisesRegex(ValueError, "`attacks` must not be targ"):
            check_untargeted("attacks", [PGD(), PGD(targeted=True)])

    def test_a_lenient_attack_is_equal_to_the_strict_one(self):
        attack = PGD(steps=3)
        lenient = attack.lenient()
        self.assertEqual(lenient, attack)
        self.assertEqual((attack.is_lenient, lenient.is_lenient), (False, True))
        self.assertEqual(lenient.get_config(), attack.get_config())


class MissingGradientTest(TestCase):
    @parameterized.product(
        norm=["linf", "l2"],
        attack=[
            PGD(steps=2, restarts=2),
            PGD(steps=2, random_start=False),
            APGD(steps=3),
            APGD(steps=3, loss="dlr", target_classes=1),
            FAB(steps=2, target_classes=1),
            FAB(steps=2, target_classes=None),
        ],
    )
    def test_a_missing_gradient_is_zero_for_one_of_several(self, norm, attack):
        problem = Linear(5, batch=6)
        epsilon = 0.1 if norm == "linf" else 3.0
        attack = attack.resized(epsilon, norm)
        for name, model in problems.without_gradient(problem.model).items():
            with self.subTest(name):
                labels = np.argmax(model(problem.images), 1)
                with self.assertLogs("absl", "WARNING") as logs:
                    found = attack.lenient()(
                        model, problem.images, labels, SEED
                    )
                self.assertIn("no gradient path", logs.output[0])
                self.assertAllInRange(found, 0.0, 1.0)
                size = attack.ball.size(found - problem.images)
                self.assertAllLessEqual(size, epsilon * (1 + 1e-5))

    @parameterized.parameters(PGD(), APGD(), FAB(), FAB(target_classes=None))
    def test_a_single_attack_refuses_a_missing_gradient(self, attack):
        problem = Linear(5, batch=4)
        alone = AutoAttack(attacks=[attack])
        for name, model in problems.without_gradient(problem.model).items():
            with self.subTest(name):
                labels = np.argmax(model(problem.images), 1)
                for run in (attack, alone):
                    with self.assertRaisesRegex(
                        ValueError,
                        "`model` must be differentiable in its images. Received"
                        " a model with no gradient path from its logits to its"
                        " images. Use a black-box attack.",
                    ):
                        run(model, problem.images, labels, SEED)

    def test_errors_of_the_model_are_not_taken_for_a_missing_gradient(self):
        def broken(images):
            return {}[3]

        images, labels = np.zeros((2, 3, 3, 1)), np.zeros(2, "int32")
        attack = PGD().lenient()
        with self.assertRaises(KeyError):
            attack(broken, images, labels)
