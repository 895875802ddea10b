"""Compares the tables of `docs/entrances.md` with what happens."""

import pytest
from absl.testing import parameterized

from tests import matrix
from tests.test_case import TestCase

# The normal selection has one entrance of each kind.
QUICK = {
    "fit (dataset)",
    "evaluate",
    "predict",
    "train_on_batch",
    "PGD",
    "AutoAttack",
    "evaluate_robustness",
    "SATModel",
    "SATModel(attack)",
}
ROWS = [(table, row) for table in matrix.TABLES for row in matrix.rows(table)]


class MatrixTest(TestCase):
    def compare(self, table, row, entrances):
        """Compares cells of a row with those of the page."""
        expected = matrix.expected()
        for entrance in entrances:
            with self.subTest(entrance=entrance):
                self.assertEqual(
                    matrix.cell(table, row, entrance),
                    expected[table, row, entrance],
                )

    @parameterized.parameters(ROWS)
    def test_an_input_works_or_is_refused_in_the_words_of_the_page(
        self, table, row
    ):
        entrances, _ = matrix.TABLES[table]
        self.compare(table, row, [e for e in entrances if e in QUICK])

    @parameterized.parameters(ROWS)
    @pytest.mark.large
    def test_all_other_entrances_do_so_too(self, table, row):
        entrances, _ = matrix.TABLES[table]
        self.compare(table, row, [e for e in entrances if e not in QUICK])
