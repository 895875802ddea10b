"""Attacks that were interrupted, and go on from the file of their pieces."""

import contextlib
import os
import pathlib
import signal
import time
from unittest import mock

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.attacks import pace
from keras_sat.evaluation import snapshots
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.snapshots import Snapshot
from keras_sat.evaluation.snapshots import Snapshots
from keras_sat.evaluation.worst_case import WorstCaseSearch
from tests import processes
from tests.attacks import problems
from tests.evaluation.short_evaluations import EPSILON
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def snapshot():
    """Returns a snapshot of two batches and two attacks, one without images."""
    generator = np.random.default_rng(0)
    return Snapshot(
        batches={
            3: {"outcomes": np.array([2, 0]), "checksum": np.array(5)},
            12: {"outcomes": np.array([1]), "checksum": np.array(6)},
        },
        # More tensors than digits of their numbers, so that order counts.
        stages=[[generator.random((2, i + 1)) for i in range(12)], []],
        rows=[np.array([7, 8]), np.zeros(0, "int32")],
    )


class SnapshotsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.get_temp_dir(), "state")
        self.file = pathlib.Path(self.path + ".pieces")

    def save(self, header):
        """Writes a snapshot, as an evaluation does that is then interrupted."""
        with self.assertRaises(KeyboardInterrupt):
            with Snapshots(self.path, header) as kept:
                kept.save(snapshot())
                raise KeyboardInterrupt

    def test_what_is_saved_is_loaded(self):
        self.save({"epsilon": 0.1})
        found = Snapshots(self.path, {"epsilon": 0.1}).load()
        expected = snapshot()
        self.assertEqual(list(found.batches), [3, 12])
        for index, batch in expected.batches.items():
            self.assert_same_bits(found.batches[index], batch)
        for one, two in zip(found.stages, expected.stages, strict=True):
            self.assert_same_bits(one, two)
        self.assert_same_bits(found.rows, expected.rows)

    def test_that_of_another_evaluation_is_not_used(self):
        self.save({"epsilon": 0.1})
        self.assertIsNone(Snapshots(self.path, {"epsilon": 0.2}).load())

    def test_a_damaged_file_is_left_out_with_a_warning(self):
        self.save({})
        content = self.file.read_bytes()
        for damaged in (b"", b"nothing", content[:-900], content[:1000]):
            self.file.write_bytes(damaged)
            with self.assertLogs("absl", "WARNING") as logs:
                self.assertIsNone(Snapshots(self.path, {}).load())
            self.assertIn("attacks on some images begin again", logs.output[0])

    def test_a_finished_evaluation_leaves_no_file(self):
        with Snapshots(self.path, {}) as kept:
            kept.save(snapshot())
        self.assertFalse(self.file.exists())
        with Snapshots(None, {}) as kept:
            self.assertFalse(kept.is_due)
            kept.save(snapshot())
            self.assertIsNone(kept.load())

    def test_a_disk_that_is_full_ends_the_evaluation_with_its_error(self):
        with (
            mock.patch.object(np, "savez", side_effect=OSError("disk full")),
            self.assertRaisesRegex(OSError, "disk full"),
            Snapshots(self.path, {}) as kept,
        ):
            kept.save(snapshot())

    def test_files_that_take_long_are_written_less_often(self):
        clock = [0.0]

        def write(path, content):
            clock[0] += 3.0

        with (
            mock.patch.object(time, "monotonic", lambda: clock[0]),
            mock.patch.object(snapshots.files, "write", write),
            Snapshots(self.path, {}) as kept,
        ):
            self.assertFalse(kept.is_due)
            clock[0] += snapshots.SECONDS
            self.assertTrue(kept.is_due)
            kept.save(snapshot())
            kept._wait()
            began = clock[0] - 3.0
            clock[0] = began + 3.0 / snapshots.SHARE - 0.1
            self.assertFalse(kept.is_due)
            clock[0] += 0.2
            self.assertTrue(kept.is_due)


class InterruptedTest(TestCase):
    def setUp(self):
        super().setUp()
        self.use_deterministic_ops()
        self.problem = problems.Linear(3)
        self.evaluated = EvaluatedModel(self.problem.model, jit_compile=False)
        self.evaluated.batch_size = 4

    def search(self, journal, kept, finished, after=10**9, error=SystemExit):
        """Searches, until a number of pieces were made.

        Args:
            finished: dict. It gets the outcomes, the adversarial images and
                what was seen of each batch, as if they were written into files.

        Returns:
            List of the number of images that each step was made on.
        """
        problem = self.problem
        search = WorstCaseSearch(
            self.evaluated,
            [
                PGD(epsilon=EPSILON, steps=4, restarts=2),
                APGD(epsilon=EPSILON, steps=5),
                Square(epsilon=EPSILON, queries=10),
            ],
            *(0, journal, kept),
            num_classes=3,
        )
        batches = [
            Batch(i, problem.images[j], problem.labels[j], np.zeros(len(j)))
            for i, j in enumerate(np.split(np.arange(30), [8, 16, 24]))
        ]

        steps = []

        def on_piece(status):
            if len(steps) >= after:
                raise error

        def note(pace, seconds, images):
            pace.pieces += 1
            steps.append(images)

        cases = search.worst_cases(
            batches, on_piece, lambda batch: batch.index in finished
        )
        with (
            mock.patch.object(pace.Pace, "note", note),
            contextlib.suppress(error),
        ):
            for case in cases:
                kept_before = finished.get(case.batch.index, (0, 0))[1]
                seen = case.seen.predictions, case.seen.leads
                images = np.where(
                    case.batch.index in finished, kept_before, case.adversarial
                )
                finished[case.batch.index] = case.outcomes, images, seen
        return steps

    @parameterized.named_parameters(
        # Ctrl-C saves before it ends; what kills a process does not.
        ("by_ctrl_c", KeyboardInterrupt, 0),
        ("by_something_else", SystemExit, 1),
    )
    def test_goes_on_where_it_was_interrupted(self, error, most_repeated):
        # Each piece is a single step, and each is saved.
        with (
            mock.patch.object(snapshots, "SECONDS", 0.0),
            mock.patch.object(snapshots, "SHARE", 10**6),
        ):
            whole = {}
            steps = self.search(Journal(None, {}), None, whole)
            count = len(steps)
            for i, after in enumerate((1, 7, count // 2, count - 2)):
                path = os.path.join(self.get_temp_dir(), f"state{i}")
                found = {}
                with self.assertRaises(error), Snapshots(path, {}) as kept:
                    before = self.search(
                        Journal(path, {}), kept, found, after, error
                    )
                    self.assertLess(len(found), len(whole))
                    raise error
                with Snapshots(path, {}) as kept:
                    rest = self.search(Journal(path, {}), kept, found)
                self.assert_same_bits(
                    [found[index] for index in range(len(whole))],
                    [whole[index] for index in range(len(whole))],
                )
                repeated = sum(before) + sum(rest) - sum(steps)
                self.assertBetween(repeated, 0, most_repeated * before[-1])


class SignalTest(TestCase):
    @pytest.mark.large
    def test_ctrl_c_is_heard_within_a_piece(self):
        path = os.path.join(self.get_temp_dir(), "state")
        process = processes.start("slow_evaluation", path)
        # The attack as a whole would take four minutes.
        for line in process.stdout:
            if "Square: piece 1" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        output, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 130, errors)
        self.assertLess(time.monotonic() - start, 30)
        self.assertIn("Interrupted. The same call goes on from", output)
        self.assertIn("The same command goes on", errors)
        self.assertTrue(os.path.exists(path + ".pieces"))
