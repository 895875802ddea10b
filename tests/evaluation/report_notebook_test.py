"""Reports as notebooks show them."""

import re

from keras_sat.evaluation import report_text
from keras_sat.evaluation.report import Finding
from tests.evaluation.pages import Page
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase

HOSTILE = "<script>a|b</script> `x` *y* [z](http://q) & \\ $"


def hostile():
    """Returns a report whose names and findings look like markup."""
    warning = Finding(HOSTILE, f"Found {HOSTILE}.", "It means.", "Do it.")
    return report(
        attacks=(HOSTILE, "Square"),
        warnings=(warning,),
        settings={"view": {"crop": "none"}},
    )


class HTMLTest(TestCase):
    def test_the_table_is_that_of_the_text(self):
        page = Page(report()._repr_html_())
        rows = report_text.rows(report())
        cells = [cell for row in rows for cell in row]
        self.assertEqual(page.texts["td"], cells)
        printed = " ".join(str(report()).split())
        for row in rows:
            self.assertIn(" ".join(filter(None, row)), printed)
        self.assertIn("95% interval 13.68 % to 69.43 %", cells)
        (warning,) = report().warnings
        self.assertEqual(page.texts["li"], [str(warning)])
        self.assertEqual(page.texts["em"], [warning.remedy])

    def test_nothing_is_taken_for_markup_or_loaded(self):
        page = Page(hostile()._repr_html_())
        known = {"div", "p", "strong", "table", "tr", "th", "td"}
        known |= {"ul", "li", "em", "small"}
        self.assertEqual(set(page.names), known)
        self.assertEqual(page.attributes, [])
        self.assertEqual(page.open, [])
        self.assertIn(f"after {HOSTILE}", page.texts["td"])
        self.assertEqual(page.texts["li"], [str(hostile().warnings[0])])
        self.assertIn("Pictures: crop='none'", page.texts["p"])

    def test_a_report_without_warnings_says_so(self):
        for changes in ({}, {"curves": {}}):
            found = report(warnings=(), **changes)
            page = Page(found._repr_html_())
            expected = report_text.without_warnings(found)
            self.assertIn(expected, page.texts["p"])


class MarkdownTest(TestCase):
    def plain(self, source):
        """Returns Markdown as text, which has no markup but bold and rows."""
        self.assertEqual(re.sub(r"\\.", "", source).count("<"), 0)
        return re.sub(r"\\(.)", r"\1", source)

    def test_the_table_is_that_of_the_text(self):
        lines = self.plain(report()._repr_markdown_()).splitlines()
        for row in report_text.rows(report()):
            self.assertIn(f"| {' | '.join(row)} |", lines)
        (warning,) = report().warnings
        self.assertIn(
            f"- **{warning.name}**: {warning.found} {warning.meaning} "
            f"{warning.remedy}",
            lines,
        )

    def test_nothing_is_taken_for_markup(self):
        source = hostile()._repr_markdown_()
        # What is left of each row without what is escaped has three cells.
        rows = [line for line in source.splitlines() if line[:1] == "|"]
        self.assertLen(rows, 6)
        for row in rows:
            self.assertLen(re.sub(r"\\.", "", row).split("|"), 5)
        self.assertIn(f"| after {HOSTILE} | ", self.plain(source))
