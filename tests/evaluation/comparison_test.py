"""Two reports of the same images, compared image by image."""

import json

import numpy as np
from absl.testing import parameterized

from keras_sat.evaluation.comparison import compare
from keras_sat.evaluation.confidence import difference_interval
from keras_sat.evaluation.report import RobustnessReport
from tests.evaluation.pages import Page
from tests.evaluation.sample_reports import LABELS
from tests.evaluation.sample_reports import OUTCOMES
from tests.evaluation.sample_reports import full_report
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase


def published(**changes):
    """Returns two reports with the counts of a published example.

    59 images withstand both, 6 the first, 16 the second, 80 none: Fagerland,
    Lydersen and Laake, 2014, Statistics in Medicine 33.
    """
    counts = (59, 6, 16, 80)
    first = np.repeat([1, 1, 0, 0], counts)
    second = np.repeat([1, 0, 1, 0], counts)
    # None is wrong without an attack, but the last one for the second model.
    options = {
        "labels": 0 * first,
        "attacks": ("A",),
        "fingerprint": "f",
        "settings": {"A": {"steps": 10, "epsilon": 0.1}},
        "epsilon": 0.1,
    }
    second[-1] = -1
    return (
        report(**options, outcomes=first),
        report(**options | {"outcomes": second} | changes),
    )


class NumbersTest(TestCase):
    def test_they_are_those_of_a_published_example(self):
        found = compare(*published())
        self.assertEqual(
            (found.robust.both, found.robust.first), (59, 6), found
        )
        self.assertEqual((found.robust.second, found.robust.neither), (16, 80))
        self.assertAllClose(found.robust.accuracies, (65 / 161, 75 / 161))
        self.assertAllClose(found.robust.difference, 0.0621, atol=5e-5)
        self.assertAllClose(found.robust.interval, (0.0046, 0.1186), atol=5e-5)
        self.assertAllClose(found.robust.p_value, 0.0525, atol=5e-5)
        self.assertEqual((found.clean.both, found.clean.first), (160, 1))
        self.assertEqual(found.num_images, 161)
        self.assertEqual(found.differences, ())

    def test_the_other_way_round_all_is_turned(self):
        one = compare(*published()).robust
        other = compare(*reversed(published())).robust
        self.assertEqual((one.first, one.second), (other.second, other.first))
        self.assertEqual(one.difference, -other.difference)
        self.assertAllClose(
            one.interval, [-bound for bound in reversed(other.interval)]
        )
        self.assertEqual(one.p_value, other.p_value)

    def test_the_verdict_follows_the_exact_test(self):
        for wins, losses in ((5, 0), (6, 0), (0, 6), (3, 3)):
            first = np.repeat([0, 1, 1], (wins, losses, 20))
            second = np.repeat([1, 0, 1], (wins, losses, 20))
            reports = (
                report(labels=0 * x, outcomes=x, attacks=("A",))
                for x in (first, second)
            )
            verdict = compare(*reports, names=("a", "b")).verdict
            # Five to nothing has p = 1/16, six to nothing 1/32.
            expected = {
                (5, 0): "may be chance: p = 0.062.",
                (6, 0): "b has the higher robust accuracy: p = 0.031.",
                (0, 6): "a has the higher robust accuracy: p = 0.031.",
                (3, 3): "The robust accuracies are equal.",
            }[wins, losses]
            self.assertEndsWith(verdict, expected)

    def test_other_numbers_of_attacks_are_no_matter(self):
        first, _ = published()
        # Withstood is 2 of two attacks, and 1 of one.
        second = report(
            labels=first.labels,
            outcomes=np.where(first.outcomes == 1, 2, first.outcomes),
            fingerprint="f",
        )
        found = compare(first, second)
        self.assertEqual((found.robust.first, found.robust.second), (0, 0))
        self.assertIn("attacks: A and APGD-CE, Square", found.differences)


class DifferencesTest(TestCase):
    @parameterized.parameters(
        ({"epsilon": 0.2}, "epsilon: 0.1 and 0.2"),
        ({"norm": "l2"}, "norm: linf and l2"),
        ({"attacks": ("B",)}, "attacks: A and B"),
        ({"seed": 4}, "seed: 3 and 4"),
        ({"settings": {"A": {"steps": 20}}}, "A steps: 10 and 20"),
        (
            {"versions": {"keras_sat": "0.2", "keras": "3.15"}},
            "version of keras_sat: 0.1 and 0.2",
        ),
        (
            {"fingerprint": None},
            "images: their pixels are not known, only their labels are equal",
        ),
    )
    def test_each_one_is_named(self, changes, words):
        found = compare(*published(**changes))
        self.assertEqual(found.differences, (words,))
        self.assertIn(f"! {words}", str(found))
        self.assertEqual(Page(found._repr_html_()).texts["li"], [words])

    def test_settings_from_a_file_are_those_that_were_saved(self):
        folder = self.get_temp_dir()
        full_report(curves={}, examples=None).save(folder)
        loaded = RobustnessReport.load(folder)
        found = compare(full_report(), loaded)
        self.assertEqual(found.differences, ())

    def test_the_radius_and_the_norm_stand_above_the_table(self):
        found = compare(*published(epsilon=8 / 255))
        self.assertIn(
            "161 images, linf ball of epsilon 0.1 and linf ball of epsilon "
            "0.03137 (8/255)",
            str(found),
        )
        same = compare(*published())
        self.assertEqual(str(same).count("ball of epsilon"), 1)


class ShownTest(TestCase):
    def test_the_table_has_the_numbers(self):
        found = compare(*published(), names=("relu", "silu"))
        lines = [" ".join(line.split()) for line in str(found).splitlines()]
        low, high = difference_interval(160, 1, 0, 0)
        for line in (
            "relu 100.00 % 40.37 %",
            "silu 99.38 % 46.58 %",
            "silu minus relu -0.62 +6.21",
            f"95% interval {100 * low:+.2f} to {100 * high:+.2f} "
            "+0.46 to +11.86",
            "only relu is right 1 6",
            "only silu is right 0 16",
            "p (McNemar, exact) 1 0.052",
        ):
            self.assertIn(line, lines)
        page = Page(found._repr_html_())
        cells = [cell for row in found.rows()[1:] for cell in row]
        self.assertEqual(page.texts["td"], cells)
        self.assertEqual(page.open, [])
        self.assertIn(found.verdict, page.texts["p"])

    def test_names_are_not_taken_for_markup(self):
        names = ("<b>a</b>", "b & c")
        page = Page(compare(*published(), names=names)._repr_html_())
        self.assertNotIn("b", page.names)
        self.assertContainsSubset(names, page.texts["td"])

    def test_the_dict_can_be_written_as_json(self):
        found = compare(*published(seed=4))
        content = json.loads(json.dumps(found.to_dict()))
        self.assertEqual(content, found.to_dict())
        self.assertEqual(content["robust"]["second"], 16)
        self.assertEqual(content["robust"]["p_value"], found.robust.p_value)
        self.assertEqual(content["differences"], ["seed: 3 and 4"])


class RefusalTest(TestCase):
    @parameterized.parameters(
        (
            {"labels": LABELS[:7], "outcomes": OUTCOMES[:7]},
            "8 and 7 images. Evaluate both",
        ),
        ({"labels": LABELS[::-1]}, "other labels of 8 of 8 images"),
        ({"fingerprint": "0"}, "images with other pixels"),
    )
    def test_other_images_are_refused(self, changes, message):
        predictions = {"clean_predictions": None, "extremes": None}
        predictions["adversarial_predictions"] = None
        with self.assertRaisesRegex(
            ValueError,
            f"`second` must be a report of the images of `first`.*{message}",
        ):
            compare(full_report(), full_report(**predictions | changes))

    @parameterized.parameters(
        (("a",), TypeError, "be a pair of str"),
        ("ab", TypeError, "be a pair of str"),
        (("a", 1), TypeError, "be a pair of str"),
        (("a", "a"), ValueError, "differ from each other"),
    )
    def test_what_are_no_two_names_is_refused(self, names, error, message):
        with self.assertRaisesRegex(error, f"`names` must {message}"):
            compare(report(), report(), names=names)

    def test_what_is_no_report_is_refused(self):
        with self.assertRaisesRegex(TypeError, "`first` must be a Robust"):
            compare("a", report())
        with self.assertRaisesRegex(TypeError, "`second` must be a Robust"):
            compare(report(), {})
