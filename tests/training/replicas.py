"""Comparison of files that replicas and workers have written."""

import numpy as np

from tests.test_case import PASS
from tests.test_case import TestCase

# The operations of a step with two steps of an attack, which are three
# gradients, and the update.
STEP = 8 * PASS


class ReplicasTestCase(TestCase):
    """Compares files that processes have written."""

    def assert_same_files(self, path, other, steps=10):
        """Checks that two files hold the same, after some steps."""
        with np.load(path) as one, np.load(other) as two:
            self.assertGreater(len(two.files), 8)
            self.assertContainsSubset(two.files, one.files)
            for name in two.files:
                self.assert_same_up_to_rounding(
                    one[name], two[name], steps * STEP, scale=1
                )
