"""Elements of HTML and texts in Markdown, in which no text is markup."""

from keras_sat.evaluation import markup
from tests.evaluation.pages import Page
from tests.test_case import TestCase

HOSTILE = "<b> \"&amp;\" 'x' | $y_1$ </b>"


class MarkupTest(TestCase):
    def test_attributes_and_texts_come_back_as_they_were(self):
        source = markup.element(
            "p", HOSTILE, raw=False, class_="a", aria_label=HOSTILE, tabindex=0
        )
        page = Page(source)
        self.assertEqual(page.texts, {"p": [HOSTILE]})
        self.assertEqual(
            page.all("p"),
            [{"class": "a", "aria-label": HOSTILE, "tabindex": "0"}],
        )

    def test_markup_is_kept_and_elements_may_have_no_end(self):
        inside = markup.element("br", None)
        self.assertEqual(markup.element("p", inside), "<p><br></p>")

    def test_a_table_names_its_rows_columns_and_content(self):
        source = markup.table(("", HOSTILE), [("a", "1"), ("b", HOSTILE)], "x")
        page = Page(source)
        self.assertEqual(page.open, [])
        self.assertEqual(page.texts["th"], ["", HOSTILE, "a", "b"])
        self.assertEqual(page.texts["td"], ["1", HOSTILE])
        scopes = [cell["scope"] for cell in page.all("th")]
        self.assertEqual(scopes, ["col", "col", "row", "row"])
        self.assertEqual(page.texts["caption"], ["x"])
        (region,) = page.all("div")
        self.assertEqual(region["aria-label"], "x")

    def test_in_markdown_all_that_has_a_meaning_is_escaped(self):
        self.assertEqual(
            markup.in_markdown("a|b\n<c> *d* `e` $f$"),
            r"a\|b \<c\> \*d\* \`e\` \$f\$",
        )
