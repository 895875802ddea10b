"""Tests of the pages of cards."""

import dataclasses

from keras_sat.pretrained import card_text
from keras_sat.pretrained.card import card_of
from tests.evaluation import sample_reports
from tests.pretrained.folders_test import STATED
from tests.pretrained.folders_test import small_network
from tests.test_case import TestCase


class MarkdownTest(TestCase):
    def setUp(self):
        super().setUp()
        report = sample_reports.report()
        self.card = card_of("noise", small_network(), report, STATED, "0")

    def test_it_says_what_was_stated_and_measured(self):
        page = card_text.markdown(self.card)
        for line in (
            "# noise",
            "| images | 6x6x3, pixels in [0, 1] |",
            "| licence of the data | None. |",
            "| seeds | training: 3 |",
            "| epochs | 110 |",
            "- few: 8 images. Wide.",
            "- It knows nothing.",
        ):
            self.assertIn(line, page.splitlines())
        clean, robust = self.card.clean_accuracy, self.card.robust_accuracy
        self.assertIn(f"| 8 | {clean:.2%} | {robust:.2%} | ", page)

    def test_what_is_not_known_is_said_to_be_so(self):
        empty = dict.fromkeys(
            ("data", "machine", "recipe", "seeds", "command", "data_license")
        )
        card = dataclasses.replace(self.card, **empty, limits=(), warnings=())
        page = card_text.markdown(card)
        for name in ("data", "machine", "recipe", "licence of the data"):
            self.assertIn(f"| {name} | not stated |", page)
        self.assertNotIn("```", page)
        self.assertEndsWith(page, "## Limits\n\nnot stated\n")

    def test_no_text_breaks_a_table(self):
        card = dataclasses.replace(self.card, data="a | b\nc")
        (line,) = (
            line
            for line in card_text.markdown(card).splitlines()
            if line.startswith("| data |")
        )
        self.assertEqual(line, "| data | a \\| b c |")
