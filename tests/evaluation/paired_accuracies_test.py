"""Counts of two models on the same images, and what follows from them."""

import numpy as np

from keras_sat.evaluation.confidence import difference_interval
from keras_sat.evaluation.paired_accuracies import PairedAccuracies
from tests.test_case import TestCase


class PairedAccuraciesTest(TestCase):
    def test_the_counts_are_those_of_the_images(self):
        generator = np.random.default_rng(0)
        first, second = generator.uniform(size=(2, 50)) < [[0.7], [0.4]]
        found = PairedAccuracies.of(first, second)
        pairs = list(zip(first.tolist(), second.tolist(), strict=True))
        counts = [
            pairs.count(pair)
            for pair in (
                (True, True),
                (True, False),
                (False, True),
                (False, False),
            )
        ]
        self.assertEqual(
            [found.both, found.first, found.second, found.neither], counts
        )
        self.assertEqual(found.num_images, 50)
        self.assertAllClose(found.accuracies, (first.mean(), second.mean()))
        self.assertAllClose(found.difference, second.mean() - first.mean())
        self.assertEqual(found.interval, difference_interval(*counts))
        self.assertEqual(found.to_dict()["interval"], list(found.interval))
