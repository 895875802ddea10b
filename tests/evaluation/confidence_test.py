"""Confidence intervals and tests against SciPy and published examples."""

import numpy as np
from absl.testing import parameterized

from keras_sat.evaluation.confidence import difference_interval
from keras_sat.evaluation.confidence import images_needed
from keras_sat.evaluation.confidence import mcnemar
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.confidence import wins_by_chance
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


class DifferenceTest(TestCase):
    @parameterized.parameters(
        # Fagerland, Lydersen and Laake, 2014, Statistics in Medicine 33, and
        # the R package contingencytables: airway hyper-responsiveness before
        # and after a transplantation, and response to a therapy.
        ((1, 1, 7, 12), (0.0256, 0.5069)),
        ((59, 6, 16, 80), (0.0046, 0.1186)),
    )
    def test_the_interval_is_that_of_published_examples(self, counts, expected):
        self.assertAllClose(difference_interval(*counts), expected, atol=5e-5)

    def test_the_interval_is_that_of_a_numeric_definition(self):
        from scipy.stats import binomtest

        generator = np.random.default_rng(0)
        for _ in range(30):
            counts = generator.multinomial(60, generator.dirichlet(np.ones(4)))
            table = counts.reshape(2, 2)
            # Two arrays with these counts: Pearson's correlation of them, less
            # a half of an observation in the covariance of the counts.
            one = np.repeat([1, 1, 0, 0], counts)
            other = np.repeat([1, 0, 1, 0], counts)
            covariance = np.linalg.det(table)
            if covariance > 0:
                covariance = max(covariance - 30, 0)
            scale = 60**2 * one.std() * other.std()
            phi = covariance / scale if scale else 0.0
            bounds = [
                binomtest(int(x.sum()), 60).proportion_ci(method="wilson")
                for x in (one, other)
            ]
            p, q = one.mean(), other.mean()
            below = np.array([q - bounds[1].low, bounds[0].high - p])
            above = np.array([bounds[1].high - q, p - bounds[0].low])
            matrix = np.array([[1, -phi], [-phi, 1]])
            expected = (
                q - p - np.sqrt(below @ matrix @ below),
                q - p + np.sqrt(above @ matrix @ above),
            )
            self.assertAllClose(
                difference_interval(*counts.tolist()), expected, atol=1e-6
            )

    @parameterized.parameters(
        (0, 0, 0, 9), (9, 0, 0, 0), (0, 9, 0, 0), (5, 0, 0, 4), (0, 4, 5, 0)
    )
    def test_the_interval_holds_the_difference_and_turns_with_it(self, *counts):
        both, first, second, neither = counts
        low, high = difference_interval(*counts)
        self.assertBetween((second - first) / 9, low, high)
        self.assertBetween(low, -1.0, high)
        self.assertBetween(high, low, 1.0)
        turned = difference_interval(both, second, first, neither)
        self.assertAllClose(turned, (-high, -low))

    def test_about_95_of_100_intervals_hold_the_true_difference(self):
        generator = np.random.default_rng(1)
        shares = (0.35, 0.1, 0.15, 0.4)
        tables = generator.multinomial(200, shares, size=2000)
        bounds = np.array([difference_interval(*t) for t in tables.tolist()])
        covered = (bounds[:, 0] <= 0.05) & (0.05 <= bounds[:, 1])
        self.assertBetween(np.mean(covered), 0.93, 0.97)


class McNemarTest(TestCase):
    @parameterized.parameters(
        # The same examples as above: exact tests of 1 against 7, 6 against 16.
        (1, 7, 0.0703),
        (6, 16, 0.0525),
        (0, 0, 1.0),
        (3, 3, 1.0),
    )
    def test_chance_is_that_of_published_examples(self, first, second, chance):
        self.assertAllClose(mcnemar(first, second), chance, atol=5e-5)
        self.assertEqual(mcnemar(first, second), mcnemar(second, first))

    @parameterized.parameters((0, 5), (40, 41), (100, 161), (4900, 5100))
    def test_chance_is_that_of_scipy(self, first, second):
        from scipy.stats import binomtest

        count = first + second
        expected = binomtest(first, count)
        self.assertAllClose(mcnemar(first, second), expected.pvalue)
        expected = binomtest(second, count, alternative="greater")
        self.assertAllClose(wins_by_chance(second, count), expected.pvalue)
