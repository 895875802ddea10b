"""Files that earlier versions wrote are still read."""

import pathlib
import shutil

import numpy as np
import pytest

import keras_sat
from tests.evaluation import sample_reports
from tests.test_case import FIXTURES
from tests.test_case import TestCase

FOLDER = FIXTURES / "before_rooms"


class OlderFilesTest(TestCase):
    """See the `README.md` of each folder of fixtures."""

    def setUp(self):
        super().setUp()
        self.model = keras_sat.load_model(FOLDER / "sat_model.keras")
        with np.load(FOLDER / "expected.npz") as arrays:
            self.expected = dict(arrays)

    def test_a_model_predicts_and_trains_on(self):
        images = self.expected["images"]
        logits = self.model.predict(images, verbose=0)
        self.assert_same_up_to_rounding(logits, self.expected["logits"])
        self.assertEqual(int(self.model.optimizer.iterations), 4)
        self.model.fit(images, self.expected["labels"], verbose=0)
        self.assertEqual(int(self.model.optimizer.iterations), 5)

    def test_a_model_keeps_its_configuration(self):
        model = self.model
        self.assertEqual(
            model.attack,
            keras_sat.PGD(
                steps=2,
                epsilon=8 / 255,
                step_size=4 / 255,
                best_iterate=True,
            ),
        )
        self.assertEqual(
            model.eval_attack,
            keras_sat.AutoAttack(
                attacks=("apgd-ce", keras_sat.Square(queries=50)),
                epsilon=8 / 255,
            ),
        )
        self.assertEqual(model.objective, keras_sat.TRADES(beta=3.0))
        growing = keras_sat.schedules.LinearWarmup(1.0, steps=4)
        self.assertEqual(
            model.attack_schedule.get_config(),
            keras_sat.schedules.AttackSchedule(epsilon=growing).get_config(),
        )
        self.assertEqual(model.loss.label_smoothing, 0.05)

    @pytest.mark.large
    def test_an_evaluation_goes_on_from_its_journal(self):
        journal = pathlib.Path(self.get_temp_dir()) / "journal"
        shutil.copy(FOLDER / "journal", journal)
        before = journal.read_bytes()
        report = keras_sat.evaluate_robustness(
            self.model,
            (self.expected["images"], self.expected["labels"]),
            self.model.eval_attack,
            epsilon=0.6,
            state_path=journal,
            batch_size=8,
            jit_compile=False,
            verbose=0,
        )
        after = journal.read_bytes()
        self.assertStartsWith(after, before)
        # Square on the second batch, and all of the third.
        self.assertLen(after[len(before) :].splitlines(), 4)
        self.assertAllEqual(report.outcomes[:8], self.expected["outcomes"][:8])
        self.assertAllEqual(report.labels, self.expected["labels"])
        # The journal says which images were broken, but not to which class.
        self.assertIsNone(report.adversarial_predictions)
        self.assertIsNone(report.extremes)
        predicted = self.expected["logits"].argmax(1)
        self.assertAllEqual(report.clean_predictions, predicted)

    def test_a_report_without_predictions_is_shown(self):
        report = keras_sat.RobustnessReport.load(FIXTURES / "older_report")
        self.assertEqual(report, sample_reports.report())
        self.assertIn("37.50 %", str(report))
        self.assertIsNone(report.confusion)
        path = pathlib.Path(self.get_temp_dir()) / "report.html"
        report.save_html(path)
        self.assertIn("do not tell", path.read_text("utf-8"))
