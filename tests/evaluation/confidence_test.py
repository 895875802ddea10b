"""Confidence intervals against SciPy and a textbook."""

import numpy as np
from absl.testing import parameterized

from keras_sat.evaluation.confidence import images_needed
from keras_sat.evaluation.confidence import wilson_interval
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase


class WilsonTest(TestCase):
    @parameterized.parameters(
        (0, 1), (0, 40), (7, 8), (3, 8), (500, 1000), (10_000, 10_000)
    )
    def test_the_interval_is_that_of_scipy(self, successes, count):
        from scipy.stats import binomtest

        expected = binomtest(successes, count).proportion_ci(method="wilson")
        self.assertAllClose(
            wilson_interval(successes / count, count),
            (expected.low, expected.high),
            rtol=0,
            atol=1e-6,
        )

    def test_the_interval_is_that_of_a_textbook(self):
        # Newcombe, 1998, Statistics in Medicine 17, table I: 81 of 263.
        low, high = wilson_interval(81 / 263, 263)
        self.assertAllClose((low, high), (0.2553, 0.3662), atol=5e-5)
        outcomes = np.where(np.arange(263) < 81, 2, 0)
        found = report(labels=0 * outcomes, outcomes=outcomes)
        self.assertEqual(found.interval, (low, high))


class ImagesNeededTest(TestCase):
    @parameterized.product(share=(0.0, 0.3, 0.5, 0.99), half=(0.01, 0.05))
    def test_no_smaller_number_gives_the_width(self, share, half):
        count = images_needed(share, half)
        widths = [np.ptp(wilson_interval(share, n)) for n in (count, count - 1)]
        self.assertLessEqual(widths[0], 2 * half)
        self.assertGreater(widths[1], 2 * half)

    def test_half_the_width_needs_four_times_the_images(self):
        # As in the normal approximation, which holds for a narrow interval.
        few, many = images_needed(0.5, 0.01), images_needed(0.5, 0.005)
        self.assertAllClose(few, 9604, rtol=0.01)
        self.assertAllClose(many, 4 * few, rtol=0.01)
