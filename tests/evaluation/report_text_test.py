"""Reports as text."""

from absl.testing import parameterized

from keras_sat.evaluation import report_text
from keras_sat.preprocessing import View
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase


class TextTest(TestCase):
    def test_the_table_says_what_each_attack_took(self):
        lines = str(report()).splitlines()
        self.assertEqual(
            lines[0],
            "Robustness of 8 images in the linf ball of epsilon 0.03137 "
            "(8/255)",
        )
        self.assertEqual(lines[2], "  clean           87.50 %")
        self.assertEqual(lines[3], "  after APGD-CE   50.00 %   -37.50")
        self.assertEqual(lines[4], "  after Square    37.50 %   -12.50")
        self.assertEqual(
            lines[5],
            "  worst case      37.50 %  95% interval 13.68 % to 69.43 %",
        )
        self.assertEqual(lines[7], "  ! few: 8 images. Wide. Use more.")
        self.assertEqual(lines[9], "seed 3, 12 s, keras_sat 0.1, keras 3.15")

    def test_what_is_seen_of_pictures_is_named_if_it_is_known(self):
        self.assertNotIn("Pictures", str(report()))
        view = View(crop="none").settings()
        named = report(settings=report().settings | {"view": view})
        line = "  Pictures: crop='none', resizing='tf1_bicubic'"
        self.assertEqual(str(named).splitlines()[7], line)

    def test_no_warnings_are_not_no_experiments(self):
        self.assertIn("No warnings.", str(report(warnings=())))
        self.assertIn("Not diagnosed.", str(report(warnings=(), curves={})))

    @parameterized.parameters((0.5, "epsilon 0.5\n"), (0, "epsilon 0\n"))
    def test_epsilon_is_in_grey_levels_only_if_they_are_whole(self, e, text):
        self.assertIn(text, str(report(epsilon=e)))


class MarkdownTest(TestCase):
    def test_it_has_the_text_a_row_for_each_class_and_links(self):
        found = report_text.markdown(report(), ["a.png", "b.png"])
        self.assertIn(f"```\n{report_text.text(report())}\n```", found)
        self.assertIn("| 0 | 4 | 75.00 % | 25.00 % |", found)
        self.assertIn("| 2 | 3 | 100.00 % | 33.33 % |", found)
        self.assertEndsWith(found, "![a.png](a.png)\n\n![b.png](b.png)\n")

    def test_pictures_are_of_what_there_is(self):
        by_epsilon, by_steps, grid = report_text.PICTURES
        for changes, expected in (
            ({}, [by_epsilon, by_steps, grid]),
            ({"curves": {"steps": {1.0: 0.5}}}, [by_steps, grid]),
            ({"curves": {}, "examples": None}, []),
        ):
            found = report_text.pictures(report(**changes))
            self.assertEqual(list(found), expected)
        (line,) = report_text.pictures(report())[by_steps]().axes[0].lines
        self.assertAllEqual(line.get_ydata(), [0.6, 0.4])
