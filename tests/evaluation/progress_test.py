"""The accuracies that the progress bar shows."""

from unittest import mock

import numpy as np
from absl.testing import parameterized

from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.worst_case import WorstCase
from tests.test_case import TestCase


class ProgressTest(TestCase):
    def case(self, index, outcomes):
        """A batch in which attacks had these outcomes."""
        images = np.zeros((len(outcomes), 1), "float32")
        batch = Batch(index, images, np.zeros(len(outcomes)), images[:, 0])
        return WorstCase(batch, np.array(outcomes), images)

    def test_shows_the_accuracies_of_all_batches_so_far(self):
        progress = Progress(2, 2, verbose=0)
        self.assertEqual(progress.bar.target, 4)
        shown = []
        with mock.patch.object(
            progress.bar, "update", lambda *args, **_: shown.append(args)
        ):
            progress.update(self.case(0, [-1, 2, 2, 2]))
            progress.update(self.case(0, [-1, 1, 1, 2]))
            progress.update(self.case(1, [2, 2, 2, 0]))
            progress.close()
        found = [dict(accuracies) for _, accuracies in shown[:3]]
        self.assertEqual(
            [tuple(each.values()) for each in found],
            [(0.75, 0.75), (0.75, 0.25), (0.875, 0.5)],
        )
        self.assertEqual([args[0] for args in shown], [1, 2, 3, 3])

    @parameterized.parameters((None, 2), (3, 0))
    def test_without_a_known_number_there_is_no_target(self, size, attacks):
        progress = Progress(size, attacks, verbose=0)
        self.assertIsNone(progress.bar.target)
        progress.close()
