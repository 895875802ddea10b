"""Which pairs of accuracies mean catastrophic overfitting."""

from absl.testing import parameterized

from keras_sat.evaluation import overfitting
from tests.test_case import TestCase


class OverfittingTest(TestCase):
    @parameterized.parameters(
        # Clean accuracy, after one step, after ten.
        (0.9, 0.85, 0.0, True),
        (0.9, 0.85, 0.2, True),
        (0.9, 0.85, 0.22, False),
        # A plain model, and robust ones.
        (0.9, 0.45, 0.0, False),
        (0.9, 0.6, 0.55, False),
        (0.9, 0.9, 0.9, False),
        (0.0, 0.0, 0.0, False),
    )
    def test_few_against_one_step_and_nearly_all_against_ten(
        self, clean, single, several, expected
    ):
        found = overfitting.is_catastrophic(clean, single, several)
        self.assertEqual(found, expected)

    def test_words_name_both_accuracies(self):
        self.assertEqual(
            overfitting.words(0.851, 0.0004),
            "85.1% accuracy after one step, 0.0% after ten.",
        )
