"""Compares the tables of `docs/entrances.md` with what happens."""

import pytest
from absl.testing import parameterized

from tests import matrix
from tests.test_case import TestCase

# They train for an epoch, and some draw a picture.
SLOW = {
    "validation_data",
    "callbacks.standard",
    "AdversarialImages",
    "CatastrophicOverfitting",
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
        self.compare(table, row, [e for e in entrances if e not in SLOW])

    @parameterized.parameters(
        row for table, row in ROWS if table == "Images and labels"
    )
    @pytest.mark.large
    def test_entrances_that_train_for_an_epoch_do_so_too(self, row):
        self.compare("Images and labels", row, sorted(SLOW))
