"""Compares the tables of `docs/entrances.md` with what happens."""

from absl.testing import parameterized

from tests import matrix
from tests.test_case import TestCase


class MatrixTest(TestCase):
    @parameterized.parameters(
        (table, row) for table in matrix.TABLES for row in matrix.rows(table)
    )
    def test_an_input_works_or_is_refused_in_the_words_of_the_page(
        self, table, row
    ):
        entrances, _ = matrix.TABLES[table]
        expected = matrix.expected()
        for entrance in entrances:
            with self.subTest(entrance=entrance):
                self.assertEqual(
                    matrix.cell(table, row, entrance),
                    expected[table, row, entrance],
                )
