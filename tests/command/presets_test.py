"""Tests of presets on the command line."""

import json
import pathlib

import pytest
from absl.testing import parameterized

import keras_sat
from tests.command.programs import run
from tests.pretrained.folders_test import FoldersTest

DIGITS = "resnet_silu_digits"


class PresetsTest(FoldersTest):
    def run_well(self, *words):
        code, output, errors = run(*words)
        self.assertEqual(code, 0, errors)
        return output

    def refused(self, *words):
        code, output, errors = run(*words)
        self.assertEqual((code, output), (2, ""), errors)
        return errors.splitlines()[-1].removeprefix("keras-sat: ")

    def test_it_prints_the_table(self):
        self.assertEqual(self.run_well("presets"), f"{keras_sat.presets()}\n")

    def test_it_prints_cards(self):
        card = keras_sat.presets()[DIGITS]
        output = self.run_well("presets", "--card", DIGITS)
        self.assertStartsWith(output, f"# {DIGITS}\n")
        self.assertIn(f"{card.robust_accuracy:.2%}", output)
        self.save(card={"machine": "A desk."})
        output = self.run_well("presets", "--card", self.folder)
        self.assertIn("| machine | A desk. |", output)

    @parameterized.parameters("resnet_silu_digit", ".")
    def test_a_card_that_is_not_there_is_named(self, name):
        problem = self.refused("presets", "--card", name)
        self.assertStartsWith(problem, "--card must be a preset, like resnet_")
        self.assertEndsWith(problem, repr(name))

    def test_a_model_that_is_not_there_is_none_of_the_presets(self):
        problem = self.refused("export", "resnet_silu_digit", self.root / "1")
        self.assertRegex(problem, r"'resnet_silu_digit' \(presets: resnet_sil")

    def test_a_damaged_preset_is_refused(self):
        self.save()
        (self.folder / "model.keras").write_bytes(b"?")
        problem = self.refused("evaluate", self.folder, "digits")
        self.assertRegex(problem, "^MODEL must be a preset.*not the one of the")

    @pytest.mark.large
    def test_commands_take_the_name_of_a_preset(self):
        words = ("--epsilon", "0.15", "--attacks", "apgd-ce", "--no-diagnose")
        saved = self.root / "report"
        words = (*words, "--images", "60", "--output", saved)
        self.run_well("evaluate", DIGITS, "digits", *words)
        report = keras_sat.RobustnessReport.load(saved)
        self.assertEqual(report.num_images, 60)
        self.assertGreater(report.clean_accuracy, 0.9)
        self.assertGreater(report.robust_accuracy, 0.6)
        served = self.root / "served" / "1"
        self.run_well("export", DIGITS, served)
        path = pathlib.Path(served) / "assets.extra" / "keras_sat.json"
        content = json.loads(path.read_text())
        card = keras_sat.presets()[DIGITS]
        self.assertEqual(
            content["robustness"]["robust_accuracy"], card.robust_accuracy
        )
        self.assertEqual(content["view"]["crop"], "centre")
        smooth = self.root / "gelu.keras"
        self.run_well(
            *("convert", DIGITS, smooth, "--activation", "gelu"),
            *("--replace", "all"),
        )
        sites = keras_sat.activation_sites(keras_sat.load_classifier(smooth))
        self.assertEqual({kind for _, kind in sites}, {"gelu"})
