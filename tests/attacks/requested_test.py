"""Attacks by name, as objects and mixed: which ones, within which ball."""

import pytest
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import Square
from keras_sat.attacks import requested_attacks
from tests.evaluation.short_evaluations import evaluate
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class RequestedAttacksTest(TestCase):
    @parameterized.parameters(
        ("square", (Square(),)),
        ("standard", AutoAttack().attacks),
        ("rand", AutoAttack(version="rand").attacks),
        (AutoAttack(), AutoAttack().attacks),
        (PGD(steps=3), (PGD(steps=3),)),
        ([PGD(), "fab", Square()], (PGD(), FAB(target_classes=None), Square())),
    )
    def test_every_form_stands_for_the_same_attacks(self, given, expected):
        request = requested_attacks(given)
        self.assertEqual(request.ensemble.attacks, tuple(expected))
        self.assertEqual((request.epsilon, request.norm), (4 / 255, "linf"))

    def test_the_ball_is_that_of_the_attacks_unless_it_is_given(self):
        attacks = [PGD(epsilon=0.5, step_size=0.125, norm="l2"), "apgd-ce"]
        request = requested_attacks(attacks)
        self.assertEqual((request.epsilon, request.norm), (0.5, "l2"))
        self.assertEqual(
            request.ensemble.attacks[1], APGD(epsilon=0.5, norm="l2")
        )
        request = requested_attacks(attacks, 0.25, "linf", (0.0, 255.0))
        first, second = request.ensemble.attacks
        common = {"epsilon": 0.25, "value_range": (0.0, 255.0)}
        self.assertEqual(first, PGD(step_size=0.0625, **common))
        self.assertEqual(second, APGD(**common))

    def test_no_attack_is_made_for_the_radius_0(self):
        request = requested_attacks("standard", 0, "l2")
        self.assertEqual((request.epsilon, request.norm), (0, "l2"))
        self.assertEqual(request.tried(10), ())
        self.assertLen(request.named(10), 4)
        for attacks in ("square", [PGD(), "square"]):
            request = requested_attacks(attacks, 0.1)
            self.assertEqual(request.tried(10), request.named(10))

    def test_several_attacks_forgive_a_missing_gradient_and_one_does_not(self):
        for attacks, is_lenient in (([PGD()], False), ([PGD(), FAB()], True)):
            for attack in requested_attacks(attacks).tried(10):
                self.assertEqual(attack.is_lenient, is_lenient)

    @parameterized.parameters(
        ([PGD(epsilon=0.1), PGD()], "have one `epsilon`.*0.1.*Give `epsilon`"),
        ([PGD(norm="l2"), PGD()], "have one `norm`.*'l2', 'linf'"),
        ([PGD(), Square(targeted=True)], "not be targeted"),
    )
    def test_attacks_that_differ_are_refused(self, attacks, message):
        with self.assertRaisesRegex(ValueError, f"`attacks` must {message}"):
            requested_attacks(attacks)


class RefusalTest(TestCase):
    @parameterized.parameters(
        ("pgd", "`attacks` must be one of.*'apgd-ce'.*'standard'.*'pgd'"),
        (["apgd-ce", "cw"], "`attacks` must be one of.*'square'.*'cw'"),
        ([], "`attacks` must not be empty"),
        (3, "`attacks` must be a name"),
        (PGD(targeted=True), "`attacks` must not be targeted"),
    )
    def test_refuses_unknown_attacks(self, attacks, message):
        model, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex((ValueError, TypeError), message):
            evaluate(model, (images, labels), attacks, epsilon=0.1)
