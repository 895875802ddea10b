"""Tests of what a network returns."""

import numpy as np
import tensorflow as tf

from keras_sat import checks
from tests.test_case import TestCase


class OutputsTest(TestCase):
    def test_probabilities_are_told_from_logits(self):
        logits = np.random.default_rng(0).normal(size=(8, 5))
        probabilities = tf.nn.softmax(logits)
        for values in (probabilities, probabilities[:1]):
            with self.assertRaisesRegex(
                ValueError,
                "`model` must return logits.*what comes before the softmax.*"
                r"convert_activations\(network, ..., remove_softmax=True\).*Or "
                "return the logarithm",
            ):
                checks.not_probabilities("model", values)
        checks.not_probabilities("model", logits)
        checks.not_probabilities("model", np.log(probabilities))
        # The same for all images: nothing can be said.
        checks.not_probabilities("model", np.eye(5)[[0, 0, 0]])
