import math

import numpy as np
from scipy import stats
from study import statistics

from tests.test_case import TestCase


class IntervalTest(TestCase):
    def test_the_margin_is_that_of_the_table_of_students_t(self):
        # Mean 3 and variance 2.5; 2.776 is the 97.5 % point for 4 degrees.
        found = statistics.interval([1, 2, 3, 4, 5])
        self.assertEqual((found.mean, found.count), (3.0, 5))
        self.assertAllClose(found.margin, 2.776 * math.sqrt(2.5 / 5), 1e-3)

    def test_it_is_that_of_scipy(self):
        values = np.random.default_rng(0).normal(0.6, 0.02, 10)
        found = statistics.interval(values)
        low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        self.assertAllClose(found.mean - found.margin, low, 1e-12)
        self.assertAllClose(found.mean + found.margin, high, 1e-12)

    def test_a_single_value_has_no_margin(self):
        found = statistics.interval([0.7])
        self.assertEqual((found.mean, found.count), (0.7, 1))
        self.assertTrue(math.isnan(found.margin))

    def test_equal_values_have_none_either(self):
        self.assertEqual(statistics.interval([0.5, 0.5, 0.5]).margin, 0.0)


class DifferenceTest(TestCase):
    def test_it_is_paired_by_seed(self):
        generator = np.random.default_rng(0)
        reference = generator.normal(0.6, 0.1, 10)
        values = reference + generator.normal(0.02, 0.01, 10)
        found = statistics.difference(
            dict(enumerate(values)), dict(reversed([*enumerate(reference)]))
        )
        expected = stats.ttest_rel(values, reference)
        self.assertAllClose(found.mean, np.mean(values - reference), 1e-12)
        self.assertAllClose(found.p, expected.pvalue, 1e-9)
        # Not paired, the spread of the seeds would hide it.
        unpaired = stats.ttest_ind(values, reference).pvalue
        self.assertLess(found.p, 0.05)
        self.assertGreater(unpaired, 0.5)

    def test_by_hand(self):
        # Differences 1, 2 and 3: mean 2, deviation 1, t = 2 * sqrt(3) with two
        # degrees, for which p = 1 - t / sqrt(t^2 + 2).
        found = statistics.difference(
            {0: 2.0, 1: 4.0, 2: 6.0}, {0: 1.0, 1: 2.0, 2: 3.0}
        )
        t = 2 * math.sqrt(3)
        self.assertAllClose(found.mean, 2.0)
        self.assertAllClose(found.margin, 4.302653 / math.sqrt(3), 1e-6)
        self.assertAllClose(found.p, 1 - t / math.sqrt(t**2 + 2), 1e-12)

    def test_seeds_of_one_arm_only_are_left_out(self):
        found = statistics.difference({0: 0.5, 7: 0.9}, {0: 0.4, 8: 0.1})
        self.assertEqual(found.count, 1)
        self.assertAllClose(found.mean, 0.1)
        self.assertTrue(math.isnan(found.p))
        self.assertIsNone(statistics.difference({1: 0.5}, {0: 0.4}))

    def test_differences_without_spread_prove_nothing(self):
        reference = {0: 0.1, 1: 0.2, 2: 0.3}
        same = statistics.difference(dict(reference), reference)
        self.assertEqual((same.mean, same.p), (0.0, 1.0))
        shifted = {seed: value + 0.01 for seed, value in reference.items()}
        found = statistics.difference(shifted, reference)
        self.assertTrue(math.isnan(found.p))


class HolmTest(TestCase):
    def test_by_hand(self):
        # 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04, which cannot be smaller.
        found = statistics.holm([0.01, 0.04, 0.03, 0.005])
        self.assertAllClose(found, [0.03, 0.06, 0.06, 0.02])

    def test_none_is_above_1(self):
        self.assertAllClose(statistics.holm([0.9, 0.6]), [1.0, 1.0])

    def test_what_is_unknown_does_not_count(self):
        one, unknown, two = statistics.holm([0.02, math.nan, 0.03])
        self.assertAllClose([one, two], [0.04, 0.04])
        self.assertTrue(math.isnan(unknown))

    def test_a_single_one_stays(self):
        self.assertEqual(statistics.holm([0.04]), [0.04])
        self.assertEqual(statistics.holm([]), [])
