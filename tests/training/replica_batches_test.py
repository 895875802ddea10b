"""Tests of batches that replicas can share."""

import numpy as np
import tensorflow as tf

from keras_sat.training import replica_batches
from tests.test_case import TestCase
from tests.training.problems import dataset


def pairs(count):
    """Returns as many different images, and their numbers as labels."""
    labels = np.arange(count)
    return labels[:, None] * np.ones((1, 3), "float32"), labels


class SharedEvenlyTest(TestCase):
    def test_batches_of_a_known_size_stay_what_they_are(self):
        data = dataset(*pairs(8), 4).take(2)
        known = data.map(lambda x, y: (x, y)).unbatch().batch(4, True)
        self.assertIs(replica_batches.shared_evenly(known, None, 4, 2), known)

    def test_a_smaller_batch_is_left_out_wherever_it_is(self):
        small, full = dataset(*pairs(3), 8), dataset(*pairs(16), 8)
        data = full.take(1).concatenate(small).concatenate(full)
        shared = replica_batches.shared_evenly(data, None, None, 2)
        self.assertEqual(shared.element_spec[0].shape, (8, 3))
        labels = [y.numpy().tolist() for _, y in shared]
        first, second = list(range(8)), list(range(8, 16))
        self.assertEqual(labels, [first, first, second])

    def test_what_is_no_multiple_of_the_replicas_is_refused(self):
        x, y = pairs(14)
        replica_batches.shared_evenly(x, y, 4, 2)
        for arguments, words in (
            ((x, y, 7, 2), "`batch_size` must be a multiple of .* 2. .*=7"),
            ((x, y, 4, 4), "`the last batch` must be a multiple of .* 4. .*=2"),
            # 14 images are one batch of at most 32, the default.
            ((x, y, None, 4), "`the last batch` must be a .* 4. .*=14"),
            ((dataset(x, y, 7), None, None, 2), "`batch_size` must .* 2. .*=7"),
        ):
            with self.assertRaisesRegex(ValueError, words):
                replica_batches.shared_evenly(*arguments)

    def test_other_data_are_left_to_keras(self):
        batches = (batch for batch in ())
        self.assertIs(
            replica_batches.shared_evenly(batches, None, None, 2), batches
        )


class NeverEmptyTest(TestCase):
    def doubled(self, replicas, static=False):
        """Returns a function that doubles its share of a batch."""
        shape = [3 if static else None, 2]

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
        def run(x):
            parts, count = replica_batches.never_empty([x, None], replicas)
            self.assertIsNone(parts[1])
            return tf.shape(parts[0])[0], 2 * parts[0][:count]

        return run

    def test_an_empty_share_is_a_single_example_of_zeros(self):
        run = self.doubled(replicas=2)
        for size, computed in ((0, 1), (1, 1), (3, 3)):
            x = np.ones((size, 2), "float32")
            found, doubled = run(x)
            self.assertEqual(found, computed)
            self.assertAllEqual(doubled, 2 * x)

    def test_nothing_is_added_where_no_share_can_be_empty(self):
        for run in (self.doubled(1), self.doubled(2, static=True)):
            x = np.ones((3, 2), "float32")
            found, doubled = run(x)
            self.assertEqual(found, 3)
            self.assertAllEqual(doubled, 2 * x)
            graph = run.get_concrete_function().graph
            operations = {o.type for o in graph.get_operations()}
            self.assertNotIn("ConcatV2", operations)
