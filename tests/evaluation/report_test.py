"""Numbers of a report, and the files that it writes and reads."""

import dataclasses
import json
import os
import pathlib
import sys
from unittest import mock

import numpy as np
from absl.testing import parameterized

from keras_sat import files
from keras_sat.evaluation.report import RobustnessReport
from tests.evaluation.sample_reports import LABELS
from tests.evaluation.sample_reports import OUTCOMES
from tests.evaluation.sample_reports import examples
from tests.evaluation.sample_reports import extremes
from tests.evaluation.sample_reports import full_report
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase

PICTURES = {"accuracy_by_epsilon.png", "accuracy_by_steps.png", "examples.png"}


class NumbersTest(TestCase):
    def test_counts_the_worst_case_of_each_image(self):
        found = report()
        self.assertEqual(found.num_images, 8)
        self.assertEqual(found.clean_accuracy, 7 / 8)
        self.assertEqual(
            found.accuracy_after, {"APGD-CE": 4 / 8, "Square": 3 / 8}
        )
        self.assertEqual(found.robust_accuracy, 3 / 8)

    def test_counts_by_class(self):
        found = report().per_class
        self.assertEqual(list(found), [0, 2, 7])
        self.assertEqual(
            found[0],
            {"images": 4, "clean_accuracy": 0.75, "robust_accuracy": 0.25},
        )
        self.assertEqual(
            found[2],
            {"images": 3, "clean_accuracy": 1.0, "robust_accuracy": 1 / 3},
        )
        total = sum(c["images"] * c["robust_accuracy"] for c in found.values())
        self.assertAllClose(total, 3)

    @parameterized.parameters(
        ({"labels": LABELS[1:]}, r"`labels` must be int.*\(7,\)"),
        ({"labels": LABELS / 2}, "`labels` must be int.*float64"),
        ({"labels": LABELS - 1}, r"`labels` must lie in \[0.*from -1"),
        ({"outcomes": OUTCOMES + 1}, r"`outcomes` must lie in \[-1, 2\].*3"),
        ({"labels": [], "outcomes": []}, "`labels` must be int.*one for each"),
        ({"clean_predictions": [0]}, "`clean_predictions` must be int.*one"),
        (
            {"adversarial_predictions": np.arange(8) - 1},
            r"`adversarial_predictions` must lie in \[0.*from -1",
        ),
    )
    def test_labels_and_outcomes_that_do_not_go_together_are_refused(
        self, changes, message
    ):
        with self.assertRaisesRegex(ValueError, message):
            report(**changes)

    def test_counts_what_each_class_is_taken_for(self):
        found = full_report().confusion
        expected = np.zeros((8, 8), int)
        expected[0, [0, 1, 2, 7]] = 1
        expected[2, [0, 2, 7]] = 1
        expected[7, 7] = 1
        self.assertAllEqual(found, expected)
        self.assertIsNone(report().confusion)
        # Without names, up to the largest class that occurs.
        found = full_report(
            class_names=None, labels=0 * LABELS, adversarial_predictions=LABELS
        )
        self.assertAllEqual(found.confusion[0], np.bincount(LABELS))

    def test_a_class_without_a_name_is_called_by_its_number(self):
        found = full_report(class_names=["cat"])
        self.assertEqual([found.class_name(i) for i in (0, 1)], ["cat", "1"])
        self.assertEqual(report().class_name(2), "2")


class EqualityTest(TestCase):
    def test_equal_reports_say_the_same_however_long_it_took(self):
        self.assertEqual(report(), report(seconds=1.0))
        self.assertNotEqual(report(), "report")

    @parameterized.parameters(
        ({"labels": LABELS + 1},),
        ({"outcomes": OUTCOMES[::-1]},),
        ({"epsilon": 0.1},),
        ({"seed": 4},),
        ({"settings": {}},),
        ({"versions": {}},),
        ({"warnings": ()},),
        ({"curves": {"steps": {1.0: 0.6}}},),
        ({"examples": None},),
        ({"examples": examples(1)},),
        ({"clean_predictions": OUTCOMES + 1},),
        ({"adversarial_predictions": OUTCOMES + 1},),
        ({"class_names": "abcdefgh"},),
        ({"fingerprint": "0"},),
        ({"extremes": extremes()},),
    )
    def test_reports_that_differ_in_anything_else_are_not_equal(self, changes):
        self.assertNotEqual(report(), report(**changes))


class PlotTest(TestCase):
    def test_the_bars_are_the_accuracies_with_their_intervals(self):
        path = pathlib.Path(self.get_temp_dir()) / "plot.png"
        figure = full_report().plot(path)
        bars = figure.axes[0]
        heights = [bar.get_height() for bar in bars.patches]
        self.assertAllClose(heights, [7 / 8, 4 / 8, 3 / 8])
        (lines,) = bars.collections
        last = lines.get_segments()[-1][:, 1]
        self.assertAllClose(last, full_report().interval)
        self.assertLen(figure.axes, 3)
        self.assertTrue(path.exists())
        self.assertLen(report(curves={}).plot().axes, 1)


class SavingTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / "a" / "b"

    def names(self):
        """Returns the names of the files, without the hash in the examples'."""
        names = os.listdir(self.folder)
        return {"npz" if name.endswith(".npz") else name for name in names}

    def test_what_is_saved_is_loaded(self):
        saved = report()
        saved.save(self.folder)
        self.assertEqual(
            self.names(), PICTURES | {"report.json", "report.md", "npz"}
        )
        loaded = RobustnessReport.load(str(self.folder))
        self.assertEqual(loaded, saved)
        for field in dataclasses.fields(loaded):
            if field.name not in ("settings", "examples"):
                value = getattr(loaded, field.name)
                self.assertAllEqual(value, getattr(saved, field.name))
                self.assertIs(type(value), type(getattr(saved, field.name)))
        self.assertEqual(loaded.settings["APGD-CE"]["rho"], 0.75)
        for name, array in saved.examples.items():
            self.assertAllEqual(loaded.examples[name], array)
            self.assertEqual(loaded.examples[name].dtype, array.dtype)
        self.assertEqual(str(loaded), str(saved))

    def test_predictions_names_and_images_are_saved_and_loaded(self):
        saved = full_report()
        saved.save(self.folder)
        loaded = RobustnessReport.load(self.folder)
        self.assertEqual(loaded, saved)
        self.assertEqual(loaded.class_names, saved.class_names)
        self.assertEqual(loaded.fingerprint, saved.fingerprint)
        self.assertAllEqual(loaded.confusion, saved.confusion)
        for name, array in saved.extremes.items():
            self.assertAllEqual(loaded.extremes[name], array)
            self.assertEqual(loaded.extremes[name].dtype, array.dtype)
        text = (self.folder / "report.md").read_text()
        self.assertIn(r"| \<dog\> | 3 | 100.00 % | 33.33 % |", text)
        full_report(extremes=None).save(self.folder)
        self.assertEmpty(list(self.folder.glob("extremes_*")))

    def test_a_page_is_written_whole_or_refused(self):
        path = self.folder / "page.html"
        full_report().save_html(path)
        self.assertEndsWith(path.read_text("utf-8"), "</html>\n")
        for wrong, message in (
            (self.folder, "`path` must be a file. Received a folder"),
            (path / "page.html", "`path` must be a file that can be written"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                full_report().save_html(wrong)
        with self.assertRaisesRegex(TypeError, "`path` must be a path"):
            full_report().save_html(3)
        before = path.read_bytes()
        with mock.patch.object(files.os, "fsync", side_effect=OSError("full")):
            with self.assertRaisesRegex(OSError, "full"):
                report().save_html(path)
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(self.names(), {"page.html"})

    def test_the_files_say_what_the_report_says(self):
        report().save(self.folder)
        content = json.loads((self.folder / "report.json").read_text())
        self.assertEqual(content["robust_accuracy"], 0.375)
        self.assertEqual(content["accuracy_after"]["APGD-CE"], 0.5)
        self.assertEqual(content["per_class"]["7"]["images"], 1)
        text = (self.folder / "report.md").read_text()
        self.assertIn(str(report()), text)
        self.assertIn("| 0 | 4 | 75.00 % | 25.00 % |", text)
        for name in PICTURES:
            self.assertIn(f"![{name}]({name})", text)

    def test_arrays_and_functions_in_the_settings_can_be_saved(self):
        def my_loss():
            """A loss of the user's own."""

        settings = {"PGD": {"loss": my_loss, "a": np.float32(0.5)}}
        saved = report(settings=settings, epsilon=np.float32(0.5))
        saved.save(self.folder)
        loaded = RobustnessReport.load(self.folder)
        self.assertEqual(loaded, saved)
        self.assertIn("my_loss", loaded.settings["PGD"]["loss"])
        self.assertEqual(loaded.settings["PGD"]["a"], 0.5)

    def test_nothing_of_an_older_report_stays(self):
        report().save(self.folder)
        report(curves={}, examples=None).save(self.folder)
        self.assertEqual(self.names(), {"report.json", "report.md"})
        self.assertIsNone(RobustnessReport.load(self.folder).examples)

    @parameterized.parameters(0, 1, 2, 3)
    def test_a_crash_leaves_the_old_report_or_the_new_one(self, crash):
        old, new = report(), report(seed=4, examples=examples(1))
        old.save(self.folder)
        write, calls = files.write, []

        def failing(path, write_to):
            calls.append(path)

            def half(file):
                file.write(b"half")
                raise OSError("No space left on device")

            write(path, half if len(calls) == crash + 1 else write_to)

        with mock.patch.object(files, "write", failing):
            with self.assertRaisesRegex(OSError, "No space left"):
                new.save(self.folder)
        loaded = RobustnessReport.load(self.folder)
        # The second file that is written is the one that counts.
        self.assertEqual(loaded, old if crash < 2 else new)
        self.assertEqual([n for n in self.names() if "tmp" in n], [])
        new.save(self.folder)
        self.assertEqual(RobustnessReport.load(self.folder), new)

    def test_without_matplotlib_all_but_the_pictures_is_written(self):
        with mock.patch.dict(sys.modules, {"matplotlib.figure": None}):
            with self.assertRaisesRegex(ImportError, r"keras_sat\[plots\]"):
                report().save(self.folder)
        self.assertEqual(self.names(), {"report.json", "report.md", "npz"})
        self.assertEqual(RobustnessReport.load(self.folder), report())


class LoadingTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        report(curves={}).save(self.folder)
        self.path = self.folder / "report.json"
        self.text = self.path.read_text()

    def test_the_file_may_be_named_instead_of_its_folder(self):
        expected = RobustnessReport.load(self.folder)
        for path in (self.path, str(self.path)):
            self.assertEqual(RobustnessReport.load(path), expected)
        with self.assertRaisesRegex(ValueError, "hold a report.*report.md"):
            RobustnessReport.load(self.folder / "report.md")
        self.path.unlink()
        with self.assertRaisesRegex(ValueError, "no file report.json"):
            RobustnessReport.load(self.path)

    def assert_refused(self, problem):
        """Checks that the folder is refused, by template and saying why."""
        with self.assertRaisesRegex(
            ValueError,
            "`directory` must hold a report as `RobustnessReport.save` writes "
            rf"it. Received '{self.folder}.*' \({problem}",
        ):
            RobustnessReport.load(self.folder)

    @parameterized.parameters(0, 1, 300, -2)
    def test_a_truncated_file_is_refused(self, length):
        self.path.write_text(self.text[:length])
        self.assert_refused("JSONDecodeError")

    def test_a_file_that_is_no_text_is_refused(self):
        self.path.write_bytes(b"\x89PNG\xff\xfe")
        self.assert_refused("UnicodeDecodeError")

    @parameterized.parameters("[]", "3", "{}", '{"format": "other", "x": 1}')
    def test_a_foreign_file_is_refused(self, text):
        self.path.write_text(text)
        self.assert_refused("ValueError: report.json is of another format")

    @parameterized.parameters(
        ("outcomes", None, "KeyError: 'outcomes'"),
        ("outcomes", [0], "ValueError: `labels` must be int"),
        ("labels", "many", "ValueError: `labels` must be int"),
        ("warnings", [{"name": "x"}], "TypeError"),
        ("curves", [1], "AttributeError"),
    )
    def test_a_damaged_file_is_refused(self, name, value, problem):
        content = json.loads(self.text)
        content[name] = value
        if value is None:
            del content[name]
        self.path.write_text(json.dumps(content))
        self.assert_refused(problem)

    def test_missing_and_damaged_examples_are_refused(self):
        (path,) = self.folder.glob("*.npz")
        content = path.read_bytes()
        for length in (0, 1000, len(content) - 1):
            path.write_bytes(content[:length])
            self.assert_refused("")
        path.unlink()
        self.assert_refused("no file examples_")

    def test_a_folder_without_a_report_is_refused(self):
        self.path.unlink()
        self.assert_refused("no file report.json")
        self.folder = self.folder / "none"
        self.assert_refused("no file report.json")
        self.folder.write_text("a file")
        self.assert_refused("a file")
