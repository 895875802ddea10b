"""Each finding has an explanation."""

import pathlib
import re

from keras_sat.evaluation import diagnostics
from keras_sat.evaluation import experiment_findings
from keras_sat.evaluation.explanations import EXPLANATIONS
from keras_sat.evaluation.explanations import explained
from tests.test_case import TestCase

ROOT = pathlib.Path(__file__).parents[2]


class ExplanationsTest(TestCase):
    def test_there_is_one_for_each_finding_and_for_nothing_else(self):
        sources = (
            pathlib.Path(module.__file__).read_text()
            for module in (diagnostics, experiment_findings)
        )
        named = set(re.findall(r'explained\(\s*"(\w+)"', "".join(sources)))
        self.assertEqual(named, set(EXPLANATIONS))

    def test_the_documentation_lists_each_finding(self):
        text = (ROOT / "docs" / "evaluation.md").read_text()
        for name in EXPLANATIONS:
            self.assertIn(f"| `{name}` |", text)

    def test_each_is_a_sentence_on_the_meaning_and_one_on_what_to_do(self):
        for meaning, remedy in EXPLANATIONS.values():
            for sentence in (meaning, remedy):
                self.assertRegex(sentence, r"^[A-Z].*\.$")

    def test_a_finding_has_its_explanation(self):
        finding = explained("few_images", "There is one.")
        self.assertEqual(
            str(finding),
            " ".join(
                ("few_images: There is one.", *EXPLANATIONS["few_images"])
            ),
        )
