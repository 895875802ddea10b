"""A batch on its way, saved and resumed."""

import numpy as np

from keras_sat.evaluation.open_batch import OpenBatch
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.seen import UNKNOWN
from tests.test_case import TestCase


def entered():
    """Returns a batch of three images that have to pass two attacks."""
    images = np.linspace(0, 1, 12, dtype="float32").reshape(3, 2, 2, 1)
    batch = Batch(0, images, np.array([0, 1, 2], "int32"), np.zeros(3))
    found = OpenBatch(batch, 0, 2)
    found.seen.note(-1, slice(None), [0, 1, 2], [1.0, 1.0, 1.0])
    return found


def attacked():
    """Returns it after the first attack has broken the second image."""
    found = entered()
    found.outcomes[1], found.passed[:] = 0, 1
    found.seen.note(0, np.arange(3), [0, 2, 2], [0.5, -0.5, 0.25])
    return found


class OpenBatchTest(TestCase):
    def test_what_was_seen_is_saved_and_resumed_to_the_bit(self):
        again = entered()
        self.assertTrue(again.resume(attacked().saved(with_images=False)))
        for name in ("predictions", "leads"):
            self.assert_same_bits(
                getattr(again.seen, name), getattr(attacked().seen, name)
            )
        self.assertAllEqual(again.is_broken, [False, True, False])

    def test_files_of_older_versions_lose_no_work_but_the_prediction(self):
        saved = attacked().saved(with_images=False)
        del saved["predictions"], saved["leads"]
        again = entered()
        self.assertTrue(again.resume(saved))
        self.assertAllEqual(again.outcomes, [2, 0, 2])
        self.assertAllEqual(again.passed, [1, 1, 1])
        predicted = again.seen.at_worst(again.outcomes)
        self.assertAllEqual(predicted, [0, UNKNOWN, 2])

    def test_a_journal_remembers_each_attack_as_it_was(self):
        later = attacked()
        # Meanwhile the second attack has broken the third image.
        later.outcomes[2], later.passed[2] = 1, 2
        later.seen.note(1, np.array([2]), [0], [-2.0])
        again = entered()
        again.remember(0, later.result_after(0))
        self.assert_same_bits(again.outcomes, attacked().outcomes)
        self.assert_same_bits(again.seen.leads, attacked().seen.leads)
