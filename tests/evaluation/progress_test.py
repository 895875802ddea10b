"""The line with the attack, the accuracies so far and the time left."""

import io
import math
import time
from unittest import mock

import numpy as np
from absl.testing import parameterized

from keras_sat.attacks.stages import Stage
from keras_sat.evaluation.progress import Progress
from keras_sat.evaluation.progress import Status
from keras_sat.evaluation.progress import described
from keras_sat.evaluation.progress import seconds_left
from tests.test_case import TestCase


class Terminal(io.StringIO):
    """A stream whose lines can be written over."""

    def isatty(self):
        return True


def status(**changes):
    """Returns the status of an evaluation in its second piece."""
    values = {
        "attack": "APGD-CE",
        "piece": 2,
        "batches": 2,
        "num_batches": 5,
        "images": 8,
        "right": 7,
        "robust": 4,
        "seconds_left": 65.4,
    }
    return Status(**values | changes)


class ProgressTest(TestCase):
    def test_shows_the_accuracies_of_all_batches_so_far(self):
        stream = Terminal()
        progress = Progress(1, stream)
        # After the first batch, its two attacks, and another batch.
        for images, right, robust in (4, 3, 3), (4, 3, 1), (8, 7, 4):
            changes = {"images": images, "right": right, "robust": robust}
            progress.update(status(**changes))
        progress.close()
        shown = stream.getvalue().split("\r")[1:]
        for line, (clean, robust) in zip(
            shown,
            [("75.00%", "75.00%"), ("75.00%", "25.00%"), ("87.50%", "50.00%")],
            strict=True,
        ):
            self.assertIn(f"clean {clean}, robust so far {robust}", line)

    @parameterized.parameters(float("nan"), float("inf"))
    def test_without_a_known_time_there_is_none(self, seconds):
        self.assertEqual(
            described(status(seconds_left=seconds)),
            "APGD-CE: piece 2, batch 2 of 5, 8 images, clean 87.50%, robust so "
            "far 50.00%",
        )

    @parameterized.parameters(
        (0.4, "0:00"), (65.4, "1:05"), (3599.6, "1:00:00"), (7384, "2:03:04")
    )
    def test_the_time_that_is_left(self, seconds, text):
        line = described(status(seconds_left=seconds))
        self.assertEndsWith(line, f", about {text} left")

    def test_before_the_first_piece_the_attack_is_compiled(self):
        line = described(status(piece=0, images=0, right=0, robust=0))
        self.assertEqual(
            line,
            "APGD-CE: compiling, batch 2 of 5, 0 images, about 1:05 left",
        )

    def test_without_a_known_size_the_time_is_one_for_what_was_read(self):
        line = described(status(num_batches=None))
        self.assertStartsWith(line, "APGD-CE: piece 2, batch 2, 8 images, ")
        self.assertEndsWith(line, "about 1:05 left for these")

    def test_the_time_left_is_that_of_all_stages_and_of_images_to_come(self):
        stages = [Stage(None, steps, size=4, seed=(1, 2)) for steps in (10, 30)]
        self.assertTrue(math.isnan(seconds_left(stages, 0)))
        # Half a second for a step of each image.
        stages[0].pace.note(9.0, 4)
        stages[0].pace.note(2.0, 4)
        self.assertEqual(seconds_left(stages, 0), 0)
        rows = np.arange(3, dtype="int32")
        stages[0].add(np.zeros((3, 2)), rows, rows)
        # What is in the first stage, or still to come, passes the second, too.
        self.assertEqual(seconds_left(stages, 0), 0.5 * 3 * (10 + 30))
        self.assertEqual(seconds_left(stages, 5), 0.5 * 8 * (10 + 30))
        # A faster second attack.
        stages[1].pace.note(9.0, 4)
        stages[1].pace.note(1.0, 4)
        self.assertEqual(seconds_left(stages, 5), 0.5 * 8 * 10 + 0.25 * 8 * 30)

    def test_in_a_terminal_a_line_covers_the_one_before(self):
        stream = Terminal()
        progress = Progress(1, stream)
        progress.update(status(attack="A long name"))
        progress.update(status(attack="FAB"))
        progress.close()
        first, second = stream.getvalue()[1:].split("\r")
        self.assertLen(second.removesuffix("\n"), len(first))
        self.assertEndsWith(second, "\n")

    def test_in_a_file_there_is_a_line_for_each_attack_and_half_a_minute(self):
        stream = io.StringIO()
        progress = Progress(1, stream)
        pieces = [
            # Seconds, attack, piece, and whether a line is written.
            (0, "APGD-CE", 0, True),
            (1, "APGD-CE", 1, True),
            (5, "APGD-CE", 2, False),
            (30, "APGD-CE", 3, False),
            (32, "APGD-CE", 4, True),
            (33, "FAB", 0, True),
            (34, "FAB", 1, True),
            # Images of another batch.
            (35, "APGD-CE", 5, False),
            (60, "FAB", 2, False),
            (70, "FAB", 3, True),
        ]
        for seconds, attack, piece, _ in pieces:
            with mock.patch.object(time, "monotonic", return_value=seconds):
                progress.update(status(attack=attack, piece=piece))
        progress.close()
        expected = [
            described(status(attack=attack, piece=piece))
            for _, attack, piece, is_written in pieces
            if is_written
        ]
        self.assertEqual(stream.getvalue().splitlines(), expected)

    def test_nothing_is_written_where_nothing_is_asked_for(self):
        stream = Terminal()
        progress = Progress(0, stream)
        progress.update(status())
        progress.close()
        self.assertEqual(stream.getvalue(), "")
