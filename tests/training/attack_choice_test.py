"""Tests of the attacks that a model is trained and evaluated against."""

import pytest

import keras_sat
from keras_sat.training import attack_choice
from tests.training.problems import WEAK
from tests.training.problems import TrainingTestCase

pytestmark = pytest.mark.numeric


class AttackChoiceTest(TrainingTestCase):
    def test_evaluate_takes_another_attack(self):
        weak = WEAK.replace(random_start=False)
        strong = weak.replace(epsilon=0.5, step_size=0.1, steps=20)
        model = keras_sat.SATModel(self.inner, eval_attack=weak)

        def robust_accuracy(attack=None):
            logs = model.evaluate(
                self.data, attack=attack, return_dict=True, verbose=0
            )
            return logs["robust_accuracy"]

        expected = robust_accuracy()
        for _ in range(2):
            other = keras_sat.SATModel(self.inner, eval_attack=strong)
            logs = other.evaluate(self.data, return_dict=True, verbose=0)
            self.assertEqual(robust_accuracy(strong), logs["robust_accuracy"])
            self.assertEqual(robust_accuracy(), expected)
            self.assertGreater(expected, robust_accuracy(strong))
            self.assertEqual(model.eval_attack, weak)
            # The function of the other attack was of the weights themselves.
            kernel = self.inner.trainable_variables[0]
            kernel.assign(0.9 * kernel)
            expected = robust_accuracy()

    def test_the_function_of_another_attack_is_compiled_once(self):
        model = keras_sat.SATModel(self.inner, eval_attack=WEAK)
        other = WEAK.replace(epsilon=0.1)
        functions = []
        for attack in (None, other, None, other):
            with model._other_attacks.lent(model, attack):
                model.make_test_function()
                functions.append(model.test_function)
        own, lent, own_again, lent_again = functions
        self.assertIs(own, own_again)
        self.assertIs(lent, lent_again)
        self.assertIsNot(own, lent)
        # Compiled anew after `compile`, which may change the loss.
        model.compile()
        with model._other_attacks.lent(model, other):
            self.assertIsNone(model.test_function)

    def test_the_own_attack_is_there_again_after_an_error(self):
        model = keras_sat.SATModel(self.inner, eval_attack=WEAK)
        with self.assertRaises(KeyboardInterrupt):
            with model._other_attacks.lent(model, WEAK.replace(epsilon=0.1)):
                raise KeyboardInterrupt
        self.assertEqual(model.eval_attack, WEAK)

    def test_another_attack_takes_the_range_of_the_model(self):
        model = keras_sat.SATModel(self.inner, value_range=(-1, 1))
        with model._other_attacks.lent(model, WEAK):
            self.assertEqual(
                model.eval_attack, WEAK.replace(value_range=(-1, 1))
            )

    def test_what_cannot_be_trained_or_evaluated_against_is_refused(self):
        ensemble = keras_sat.AutoAttack()
        targeted = keras_sat.PGD(targeted=True)
        attack_choice.check_evaluation_attack("attack", ensemble)
        with self.assertRaisesRegex(TypeError, "`attack` must be an Attack. R"):
            attack_choice.check_training_attack("attack", ensemble)
        with self.assertRaisesRegex(
            TypeError, "`eval_attack` must be an Attack or AutoAttack. Received"
        ):
            attack_choice.check_evaluation_attack("eval_attack", "pgd")
        for check in (
            attack_choice.check_training_attack,
            attack_choice.check_evaluation_attack,
        ):
            with self.assertRaisesRegex(ValueError, "`attack` must"):
                check("attack", targeted)
