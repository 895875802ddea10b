"""Tests of the presets of the package, against what their cards say."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.pretrained import shipped
from tests.pretrained import table
from tests.test_case import TestCase

NAMES = ("resnet_silu_digits", "resnet_silu_fashion_mnist")
# How many of the first 100 digits withstand `pgd`, of which 82 withstand
# AutoAttack as well.
WITHSTAND_PGD = 85
# Everything that could open a connection fails.
OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("a connection")
socket.socket.connect = socket.create_connection = refuse
socket.getaddrinfo = refuse
import keras_sat
for name in keras_sat.presets():
    print(name, keras_sat.load_preset(name).count_params())
"""


def digits():
    """Returns all test images of the digits, and their labels."""
    _, test_ds = keras_sat.data.digits(360, image_size=8, channels=1)
    return map(np.asarray, next(iter(test_ds)))


def pgd(card, steps=10):
    """A short attack with the radius of a card."""
    return keras_sat.PGD(
        epsilon=card.epsilon,
        step_size=2.5 * card.epsilon / steps,
        steps=steps,
        random_start=False,
    )


class PresetsTest(TestCase):
    def test_the_table_lists_all(self):
        presets = keras_sat.presets()
        self.assertEqual(tuple(presets), NAMES)
        lines = str(presets).splitlines()
        self.assertLen(lines, 1 + len(NAMES))
        for (name, card), line in zip(presets.items(), lines[1:], strict=True):
            self.assertStartsWith(line, name)
            self.assertEqual(card.name, name)
            for words in (
                f"{card.clean_accuracy:.2%}",
                f"{card.robust_accuracy:.2%}",
                f"{card.parameters:,}",
                f"L-infinity, {card.epsilon:g}",
            ):
                self.assertIn(words, line)

    def test_the_page_has_the_numbers_of_the_cards(self):
        self.assertEqual(table.PAGE.read_text("utf-8"), table.page())

    @parameterized.parameters(*NAMES)
    def test_cards_say_what_reports_say(self, name):
        card = keras_sat.presets()[name]
        report = keras_sat.RobustnessReport.load(shipped.SHIPPED / name)
        for field in (
            "clean_accuracy",
            "robust_accuracy",
            "num_images",
            "attacks",
            "epsilon",
            "norm",
        ):
            self.assertEqual(getattr(card, field), getattr(report, field))
        self.assertLen(report.attacks, 4)
        for field in ("data_license", "command", "machine", "recipe", "limits"):
            self.assertNotEmpty(getattr(card, field), field)
        page = (shipped.SHIPPED / name / "card.md").read_text("utf-8")
        self.assertIn(f"| {card.robust_accuracy:.2%} |", page)

    @parameterized.parameters(*NAMES)
    def test_they_are_small(self, name):
        folder = shipped.SHIPPED / name
        size = sum(path.stat().st_size for path in folder.iterdir())
        self.assertLess(size, 2_000_000)

    @parameterized.parameters(
        ("resnet_silu_digit", "Like it: .*'resnet_silu_digits'"),
        ("resnet50", r"be one of \['resnet_silu_digits'"),
        (__file__, "a file, .*Load files with load_classifier"),
        ("", "be one of"),
    )
    def test_what_is_no_preset_is_refused(self, name, words):
        with self.assertRaisesRegex(ValueError, words):
            keras_sat.load_preset(name)

    def test_a_number_is_no_preset(self):
        with self.assertRaisesRegex(TypeError, "must be a path"):
            keras_sat.load_preset(3)

    @pytest.mark.large
    def test_they_load_without_a_network(self):
        found = subprocess.run(
            [sys.executable, "-c", OFFLINE],
            capture_output=True,
            text=True,
            cwd=pathlib.Path(keras_sat.__file__).parents[1],
        )
        self.assertEqual(found.returncode, 0, found.stderr[-2000:])
        expected = [
            f"{name} {card.parameters}"
            for name, card in keras_sat.presets().items()
        ]
        self.assertEqual(found.stdout.splitlines(), expected)


class DigitsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.card = keras_sat.presets()[NAMES[0]]
        self.model = keras_sat.load_preset(NAMES[0])
        self.images, self.labels = digits()

    @pytest.mark.numeric
    def test_its_clean_accuracy_is_that_of_the_card(self):
        report = keras_sat.RobustnessReport.load(shipped.SHIPPED / NAMES[0])
        self.assertAllEqual(self.labels, report.labels)
        logits = self.model.predict(self.images, verbose=0)
        # No two logits are as close as rounding could move them.
        highest = np.sort(logits)[:, -2:]
        self.assertGreater(np.diff(highest).min(), 0.01)
        found = np.argmax(logits, axis=1)
        self.assertAllEqual(found, report.clean_predictions)
        accuracy = np.mean(found == self.labels)
        self.assertEqual(accuracy, self.card.clean_accuracy)

    @pytest.mark.numeric
    def test_a_short_attack_finds_less_than_the_card_says(self):
        report = keras_sat.RobustnessReport.load(shipped.SHIPPED / NAMES[0])
        images, labels = self.images[:100], self.labels[:100]
        adversarial = pgd(self.card)(self.model, images, labels)
        logits = self.model.predict(adversarial, verbose=0)
        survives = np.argmax(logits, axis=1) == labels
        # Two of the images end where the lead is below 0.2: those may fall on
        # either side, if another processor rounds a gradient to another sign.
        self.assertNear(survives.sum(), WITHSTAND_PGD, 2)
        # AutoAttack is the worst case of stronger attacks.
        withstood = report.outcomes[:100] == len(report.attacks)
        self.assertEqual(np.sum(withstood & ~survives), 0)

    @pytest.mark.large
    @pytest.mark.numeric
    def test_autoattack_gives_the_number_of_the_card(self):
        report = keras_sat.evaluate_robustness(
            self.model,
            tf.data.Dataset.from_tensor_slices(
                (self.images, self.labels)
            ).batch(250),
            epsilon=self.card.epsilon,
            norm=self.card.norm,
            seed=self.card.attack_seed,
            diagnose=False,
            verbose=0,
        )
        self.assertEqual(report.attacks, self.card.attacks)
        self.assertNear(
            report.robust_accuracy, self.card.robust_accuracy, 2 / 360 + 1e-9
        )

    @pytest.mark.large
    def test_it_can_be_trained_further_and_exported(self):
        model = keras_sat.SATModel(self.model, attack=pgd(self.card, 2))
        model.compile("sgd")
        before = self.model.get_weights()[0]
        model.fit(self.images[:32], self.labels[:32], verbose=0)
        self.assertGreater(
            np.abs(self.model.get_weights()[0] - before).max(), 0
        )
        path = pathlib.Path(self.get_temp_dir()) / "served"
        report = keras_sat.RobustnessReport.load(shipped.SHIPPED / NAMES[0])
        keras_sat.export.saved_model(self.model, path, report=report)
        served = keras_sat.load_classifier(path)
        self.assert_same_up_to_rounding(
            served(self.images[:4]), self.model(self.images[:4]), 400
        )
        text = (path / "assets.extra" / "keras_sat.json").read_text()
        self.assertEqual(
            json.loads(text)["robustness"]["robust_accuracy"],
            self.card.robust_accuracy,
        )
