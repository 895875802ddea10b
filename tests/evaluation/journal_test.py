"""A journal across cuts, and files that are none."""

import contextlib
import io
import json
import os
import pathlib
import random
import signal
import time

import pytest

from keras_sat.attacks import PGD
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.report import RobustnessReport
from tests.evaluation.short_evaluations import QUICK
from tests.evaluation.short_evaluations import ResumedTestCase
from tests.evaluation.short_evaluations import finish
from tests.evaluation.short_evaluations import start
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class JournalTest(TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.get_temp_dir(), "journal")
        self.header = {"epsilon": 0.1, "names": ["a", "b"], "nothing": None}

    def test_results_are_found_again_by_their_keys(self):
        journal = Journal(self.path, self.header)
        self.assertTrue(journal.is_new)
        journal.add(0, -1, value={"outcomes": [1, 2]})
        journal.add(3, 0, value=[0.5])
        journal.add(3, 0, value=[0.25])
        for known in (journal, Journal(self.path, self.header)):
            self.assertFalse(known.is_new)
            self.assertEqual(known.get(0, -1), {"outcomes": [1, 2]})
            # The last result under a key is the one that counts.
            self.assertEqual(known.get(3, 0), [0.25])
            self.assertIsNone(known.get(0, 3))

    def test_without_a_path_results_are_kept_in_memory(self):
        journal = Journal(None, {})
        journal.add(1, value=2)
        self.assertEqual((journal.get(1), journal.is_new), (2, False))

    def test_a_line_that_was_cut_off_is_dropped(self):
        journal = Journal(self.path, self.header)
        for i in range(2):
            journal.add(i, value=i)
        path = pathlib.Path(self.path)
        path.write_bytes(path.read_bytes()[:-3])
        again = Journal(self.path, self.header)
        self.assertEqual((again.get(0), again.get(1)), (0, None))
        again.add(1, value=7)
        self.assertEqual(Journal(self.path, self.header).get(1), 7)

    def test_headers_may_differ_in_rounding_and_in_nothing_else(self):
        Journal(self.path, self.header)
        Journal(self.path, self.header | {"epsilon": 0.10001})
        Journal(self.path, self.header | {"names": ("a", "b")})
        for changes, names in (
            ({"epsilon": 0.2}, "epsilon"),
            ({"names": ["a"], "nothing": 0}, "names, nothing"),
            ({"more": 1}, "more"),
        ):
            with self.assertRaisesRegex(ValueError, f"has other {names}. "):
                Journal(self.path, self.header | changes)


class ResumeTest(ResumedTestCase):
    @pytest.mark.large
    def test_cut_off_anywhere_it_continues_to_the_same_report(self):
        whole = self.run_with_state()
        content = pathlib.Path(self.path).read_bytes()
        generator = random.Random(0)
        for _ in range(3):
            length = generator.randrange(len(content))
            pathlib.Path(self.path).write_bytes(content[:length])
            self.assertEqual(self.run_with_state(), whole)
            lines = [json.loads(line) for line in self.lines()]
            self.assertLen(lines, 1 + 3 * (1 + len(QUICK)))

    @pytest.mark.large
    def test_what_is_known_is_not_computed_again(self):
        whole = self.run_with_state()
        calls = []

        class Loud(PGD):
            def perturb(self, predict, images, labels, seed):
                calls.append(1)
                return super().perturb(predict, images, labels, seed)

        # Another attack of the same configuration.
        Loud.__name__ = "PGD"
        first = self.run_with_state(attacks=PGD(), state_path=self.path + "2")
        again = self.run_with_state(attacks=Loud(), state_path=self.path + "2")
        self.assertEqual((first, calls), (again, []))
        self.assertEqual(self.run_with_state(), whole)

    def said(self):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.run_with_state(verbose=1)
        return output.getvalue()

    @pytest.mark.large
    def test_it_says_that_it_goes_on_and_that_it_was_finished(self):
        goes_on = f"The evaluation goes on from {self.path!r}.\n"
        finished = "It was finished already: all results are from there.\n"
        self.assertNotIn(goes_on, self.said())
        output = self.said()
        self.assertIn(goes_on, output)
        self.assertIn(finished, output)
        path = pathlib.Path(self.path)
        path.write_bytes(b"".join(self.lines()[:3]))
        output = self.said()
        self.assertIn(goes_on, output)
        self.assertNotIn(finished, output)

    @pytest.mark.large
    def test_leaves_a_file_alone_that_is_no_state(self):
        for content in (b"precious", b'{"a": 1}\n', b"\x00\xff\n", b'{"f'):
            pathlib.Path(self.path).write_bytes(content)
            if content == b'{"f':
                self.run_with_state()
                continue
            with self.assertRaisesRegex(ValueError, "an evaluation wrote"):
                self.run_with_state()
            self.assertEqual(pathlib.Path(self.path).read_bytes(), content)

    def test_refuses_a_state_path_that_cannot_be_written(self):
        for path in ("/proc/none/state", self.get_temp_dir()):
            with self.assertRaisesRegex(
                ValueError, "`state_path` must be a file that can be written"
            ):
                self.run_with_state(state_path=path)


class KilledTest(TestCase):
    @pytest.mark.large
    def test_killed_ten_times_it_ends_with_the_same_report(self):
        folder = pathlib.Path(self.get_temp_dir())
        whole = ["--report_dir", str(folder / "whole")]
        state = ["--state_path", str(folder / "state")]
        state += ["--report_dir", str(folder / "resumed")]
        finish(start(*whole))
        generator = random.Random(1)
        for kill in range(10):
            process = start(*state)
            # Once it goes on, it may be anywhere when it is killed.
            goal = 2 + 2 * kill
            while process.poll() is None and self._lines(folder) < goal:
                time.sleep(0.01)
            time.sleep(generator.uniform(0, 2))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assertFalse((folder / "resumed").exists())
        finish(start(*state))
        self.assertEqual(
            RobustnessReport.load(folder / "whole"),
            RobustnessReport.load(folder / "resumed"),
        )

    def _lines(self, folder):
        path = folder / "state"
        return path.read_bytes().count(b"\n") if path.exists() else 0
