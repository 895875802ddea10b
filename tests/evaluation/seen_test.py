"""What a model sees in images, attack by attack."""

import numpy as np

from keras_sat.evaluation.seen import UNKNOWN
from keras_sat.evaluation.seen import Seen
from tests.test_case import TestCase

# -1: wrong without an attack; 2: withstood both.
OUTCOMES = np.array([-1, 0, 1, 2, 2])


def seen():
    """Five images of the classes 0 to 4, and two attacks."""
    found = Seen(5, 2)
    found.note(-1, slice(None), [1, 1, 2, 3, 4], [-0.5, 2.0, 3.0, 1.0, 0.25])
    found.note(0, np.array([1, 2]), [0, 2], [-1.5, 0.5])
    found.note(0, np.array([3, 4]), [3, 4], [0.5, 0.5])
    found.note(1, np.array([2, 3, 4]), [4, 3, 4], [-0.25, 0.75, 0.5])
    return found


class SeenTest(TestCase):
    def test_the_worst_is_the_first_misclassified_image_or_the_clean_one(self):
        self.assertAllEqual(seen().at_worst(OUTCOMES), [1, 0, 4, 3, 4])

    def test_the_nearest_is_where_the_right_class_had_the_smallest_lead(self):
        attacks, leads = seen().nearest()
        self.assertAllEqual(attacks, [-1, 0, 1, 0, -1])
        self.assertAllEqual(leads, [-0.5, -1.5, -0.25, 0.5, 0.25])

    def test_what_is_written_is_remembered_to_the_bit(self):
        known = seen()
        known.leads += np.float32(0.1)
        again = Seen(5, 2)
        for i in (-1, 0, 1):
            self.assertTrue(again.remember(i, known.of(i)))
        self.assert_same_bits(
            (again.predictions, again.leads), (known.predictions, known.leads)
        )

    def test_older_files_leave_what_is_broken_unknown(self):
        again = Seen(5, 2)
        again.remember(-1, seen().of(-1))
        for i in (0, 1):
            self.assertFalse(again.remember(i, {"outcomes": [], "seconds": 1}))
        self.assertAllEqual(
            again.at_worst(OUTCOMES), [1, UNKNOWN, UNKNOWN, 3, 4]
        )
