"""The ensemble against closed forms, and with models it must not fail on."""

import dataclasses
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import Square
from keras_sat.attacks import parallel
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.compiled import compiled
from tests.attacks import problems
from tests.attacks.problems import Linear
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Whiten(Attack):
    """Makes a share of the images white, whatever `epsilon`."""

    share: float = 0.5

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        count = tf.cast(tf.shape(images)[0], tf.float32)
        white = tf.range(count) < self.share * count
        return tf.where(white[:, tf.newaxis], tf.ones_like(images), images)


class AutoAttackTest(TestCase):
    def test_the_standard_version_is_that_of_the_paper(self):
        attack = AutoAttack(epsilon=8 / 255, norm="l2", value_range=(0, 255))
        common = {
            "epsilon": 8 / 255,
            "norm": "l2",
            "value_range": (0, 255),
            "restarts": 1,
        }
        self.assertEqual(
            attack.attacks,
            (
                APGD(steps=100, rho=0.75, loss="cross_entropy", **common),
                APGD(
                    steps=100, rho=0.75, loss="dlr", target_classes=9, **common
                ),
                FAB(
                    steps=100,
                    target_classes=9,
                    alpha_max=0.1,
                    eta=1.05,
                    beta=0.9,
                    **common,
                ),
                Square(queries=5000, p_init=0.8, loss="margin", **common),
            ),
        )
        labels = [attack.label for attack in attack.attacks]
        self.assertEqual(labels, ["APGD-CE", "APGD-T", "FAB-T", "Square"])

    def test_the_version_for_random_predictions_averages_20_of_them(self):
        attack = AutoAttack(version="rand")
        expected = APGD(expectation_steps=20)
        self.assertEqual(
            attack.attacks, (expected, expected.replace(loss="dlr"))
        )

    @parameterized.parameters(
        (10, ["APGD-CE", "APGD-T", "FAB-T", "Square"], 9),
        (4, ["APGD-CE", "APGD-T", "FAB-T", "Square"], 3),
        (3, ["APGD-CE", "APGD-DLR", "FAB-T", "Square"], 2),
        (2, ["APGD-CE", "APGD-margin", "FAB-T", "Square"], 1),
    )
    def test_few_classes_choose_what_applies(self, count, labels, targets):
        attacks = AutoAttack().for_classes(count).attacks
        self.assertEqual([attack.label for attack in attacks], labels)
        self.assertEqual(attacks[2].target_classes, targets)
        rand = AutoAttack(version="rand").for_classes(count).attacks
        self.assertEqual(
            rand[1].label, "APGD-margin" if count == 2 else "APGD-DLR"
        )

    @parameterized.parameters((2, "linf"), (3, "l2"), (4, "linf"))
    def test_linear_classes_are_broken_exactly_by_the_closed_form(
        self, num_classes, norm
    ):
        problem = Linear(num_classes)
        epsilon = problem.epsilons(norm)[1]
        attacks = [
            APGD(steps=5),
            APGD(steps=15, loss="dlr", target_classes=9),
            FAB(steps=10),
            Square(queries=20),
        ]
        attack = AutoAttack(epsilon=epsilon, norm=norm, attacks=attacks)
        adversarial = attack(
            problem.model, problem.images, problem.labels, SEED
        )
        broken = problem.broken(adversarial)
        self.assertAllEqual(broken, problem.distances(norm) < epsilon)
        self.assertAllEqual(adversarial[~broken], problem.images[~broken])
        sizes = attack.attacks[0].ball.size(adversarial - problem.images)
        self.assertAllLessEqual(sizes, epsilon + 1e-6)

    @pytest.mark.large
    def test_breaks_all_that_any_of_its_attacks_breaks(self):
        model, images, labels = problems.network()
        together = problems.short_ensemble(epsilon=0.03)
        adversarial = together(model, images, labels, SEED)
        survived = np.argmax(model(adversarial), 1) == labels
        first = compiled(together.attacks[0], model)(
            images, labels, tf.random.experimental.stateless_fold_in(SEED, 0)
        )
        self.assertAllEqual(
            survived & (np.argmax(model(first), 1) != labels),
            np.zeros(32, bool),
        )
        self.assertAllInRange(adversarial, 0.0, 1.0)

    def test_each_attack_gets_the_survivors_of_the_one_before(self):
        seen = []

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Watched(Whiten):
            def perturb(self, predict, images, labels, seed):
                size = [tf.shape(images)[0]]
                tf.py_function(lambda n: seen.append(int(n)), size, [])
                return super().perturb(predict, images, labels, seed)

        images = np.zeros((40, 3), "float32")
        images[:8] = 1
        labels = np.zeros(40, "int32")
        attack = AutoAttack(
            attacks=[Watched(share=0.5), Watched(share=0.25), Watched()]
        )
        with mock.patch.object(parallel, "usable_cores", return_value=1):
            adversarial = attack(
                problems.dark_or_bright, images, labels, jit_compile=False
            )
        self.assertEqual(seen, [32, 16, 12])
        self.assertEqual(np.sum(np.max(adversarial, 1) == 0), 6)

    @parameterized.parameters(False, True)
    @pytest.mark.large
    def test_inside_a_function_it_breaks_as_much(self, jit_compile):
        problem = Linear(3)
        epsilon = problem.epsilons("linf")[1]
        attack = problems.short_ensemble(epsilon=epsilon)
        run = tf.function(
            lambda x, y: attack(problem.model, x, y, SEED),
            jit_compile=jit_compile,
            autograph=False,
        )
        adversarial = run(problem.images, problem.labels)
        self.assertAllEqual(
            problem.broken(adversarial), problem.distances("linf") < epsilon
        )

    def test_the_same_seed_gives_the_same_images(self):
        model, images, labels = problems.network()
        attack = problems.short_ensemble(epsilon=0.03)
        first = attack(model, images, labels, SEED)
        self.assertAllEqual(first, attack(model, images, labels, SEED))

    @pytest.mark.large
    def test_leaves_weights_and_batch_statistics_unchanged(self):
        model, images, labels = problems.network()
        before = model.get_weights()
        problems.short_ensemble()(model, images, labels)
        self.assert_same_bits(model.get_weights(), before)

    @pytest.mark.large
    def test_takes_uint8_images_and_one_hot_labels(self):
        model, images, labels = problems.network()
        grey = np.round(images * 255).astype("uint8")
        attack = problems.short_ensemble(epsilon=0.02)
        adversarial = attack(model, grey, np.eye(5)[labels], SEED)
        images = grey * np.float32(1 / 255)
        self.assert_same_bits(adversarial, attack(model, images, labels, SEED))

    @parameterized.parameters("rounded", "compiled")
    @pytest.mark.large
    def test_what_has_no_gradient_is_left_to_square(self, name):
        problem = Linear(5)
        model = problems.without_gradient(problem.model)[name]
        labels = np.argmax(model(problem.images), 1)
        attack = AutoAttack(
            epsilon=2 * problem.epsilons("linf")[2],
            attacks=[APGD(steps=2), Square(queries=100)],
        )
        inside = tf.function(
            lambda x, y: attack(model, x, y, SEED), autograph=False
        )
        for run in (lambda x, y: attack(model, x, y, SEED), inside):
            with self.assertLogs("absl", "WARNING") as logs:
                found = run(problem.images, labels)
            self.assertLen(logs.output, 1)
            self.assertIn("APGD-CE takes the gradient", logs.output[0])
            broken = np.argmax(model(found), 1) != labels
            self.assertGreater(np.mean(broken), 0.5)

    def test_a_single_attack_is_not_lenient_after_an_ensemble(self):
        problem = Linear(5)
        model = problems.without_gradient(problem.model)["rounded"]
        labels = np.argmax(model(problem.images), 1)
        attack = PGD(epsilon=0.01)
        AutoAttack(epsilon=0.01, attacks=[attack, attack])(
            model, problem.images, labels
        )
        with self.assertRaisesRegex(ValueError, "must be differentiable"):
            AutoAttack(epsilon=0.01, attacks=[attack])(
                model, problem.images, labels
            )

    def test_custom_attacks_are_given_by_name_or_as_objects(self):
        attack = AutoAttack(epsilon=0.1, attacks=["square", PGD(steps=3)])
        self.assertEqual(
            attack.attacks, (Square(epsilon=0.1), PGD(epsilon=0.1, steps=3))
        )
        other = attack.replace(epsilon=0.2, norm="l2")
        self.assertEqual(other.attacks[0], Square(epsilon=0.2, norm="l2"))
        self.assertEqual(
            attack.replace(version="rand"),
            AutoAttack(epsilon=0.1, version="rand"),
        )

    def test_survives_saving(self):
        for attack in (
            AutoAttack(norm="l2"),
            problems.short_ensemble(epsilon=0.1),
        ):
            config = keras.saving.serialize_keras_object(attack)
            self.assertEqual(
                attack, keras.saving.deserialize_keras_object(config)
            )

    def test_labels_of_all_attacks(self):
        self.assertEqual(PGD(steps=10).label, "PGD-10")
        self.assertEqual(Whiten().label, "Whiten")
        self.assertEqual(AutoAttack().label, "AutoAttack")
        self.assertEqual(AutoAttack(version="rand").label, "AutoAttack-rand")

    @parameterized.parameters(
        ({"epsilon": 0}, "`epsilon` must be greater than 0. .*epsilon=0"),
        ({"epsilon": 8}, "`epsilon` must be at most 1.*Did you mean 8 / 255"),
        ({"norm": "l1"}, "`norm` must be one of .*Received: norm='l1'"),
        ({"version": "plus"}, r"`version` must be one of \['rand', 'stand"),
        ({"attacks": ["pgd"]}, r"`attacks` must be one of \['apgd-ce', .*pgd"),
        ({"attacks": []}, "`attacks` must not be empty"),
        ({"value_range": (1, 0)}, "`value_range` must be a pair"),
    )
    def test_bad_values_are_refused(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            AutoAttack(**arguments)

    def test_bad_kinds_are_refused(self):
        with self.assertRaisesRegex(TypeError, "`attacks` must hold Attack"):
            AutoAttack(attacks=[3])
        with self.assertRaisesRegex(ValueError, "`num_classes` must be at l"):
            AutoAttack().for_classes(1)
