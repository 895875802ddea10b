"""Seeds: independent, and repeated if asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import random_seed
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

SEED = (1, 2)


class SeedsTest(TestCase):
    def test_numbers_of_other_seeds_are_independent(self):
        draws = [
            tf.random.stateless_normal([1000], fold_in(SEED, i)).numpy()
            for i in range(10)
        ]
        correlations = np.corrcoef(draws) - np.eye(10)
        # Five standard deviations.
        self.assertAllLess(np.abs(correlations), 5 / 1000**0.5)

    @parameterized.parameters(False, True)
    def test_a_seed_is_the_same_everywhere(self, jit_compile):
        run = tf.function(
            lambda i: fold_in(SEED, i), autograph=False, jit_compile=jit_compile
        )
        for i in (0, 7, 2**31 - 1):
            self.assertAllEqual(run(tf.constant(i)), fold_in(SEED, i))

    def test_random_seeds_come_from_the_global_stream(self):
        keras.utils.set_random_seed(3)
        first = [tuple(random_seed().numpy()) for _ in range(5)]
        self.assertLen(set(first), 5)
        keras.utils.set_random_seed(3)
        again = [tuple(random_seed().numpy()) for _ in range(5)]
        self.assertEqual(first, again)
        self.assertEqual(random_seed().dtype, tf.int32)
