"""How long pieces become: by the time that steps take."""

from absl.testing import parameterized

from keras_sat.attacks.pace import SECONDS
from keras_sat.attacks.pace import Pace
from tests.test_case import TestCase


class PaceTest(TestCase):
    def steps(self, seconds, num_steps, pieces=8):
        """Returns how many steps the pieces of an attack make."""
        pace, steps = Pace(num_steps), []
        for _ in range(pieces):
            steps.append(pace.steps)
            pace.note(seconds * pace.steps, 10)
        self.assertEqual(pace.pieces, pieces)
        self.assertAllClose(pace.seconds, seconds / 10)
        return steps

    @parameterized.parameters(
        (SECONDS / 8, 1000, [1, 1, 4, 8, 8, 8, 8, 8]),
        (SECONDS * 3, 1000, [1] * 8),
        # Looked at twenty times, or after a tenth of a second.
        (0.02, 200, [1, 1, 4, 10, 10, 10, 10, 10]),
        (0.005, 200, [1, 1, 4, 16, 20, 20, 20, 20]),
        (1.0, 3, [1] * 8),
        # Images that are done before the end of a piece seem to be fast.
        (0.0, 50, [1, 1, 4, 16, 50, 50, 50, 50]),
    )
    def test_pieces_grow_until_they_take_two_seconds(
        self, seconds, num_steps, expected
    ):
        self.assertEqual(self.steps(seconds, num_steps), expected)

    def test_slower_steps_make_shorter_pieces_at_once(self):
        pace = Pace(10_000)
        for _ in range(8):
            pace.note(0.01 * SECONDS * pace.steps, 1)
        self.assertEqual(pace.steps, 100)
        pace.note(SECONDS * 10, 1)
        self.assertEqual(pace.steps, 10)
