"""Runs a study as a user would."""

import csv
import pathlib
import random
import resource
import subprocess
import sys
import time

import pytest
from gradient_quality import STUDY
from study import engine

from tests.test_case import TestCase

pytestmark = [pytest.mark.large, pytest.mark.numeric]

ROOT = pathlib.Path(__file__).parents[3]
SMALL = ("--seeds=1", "--arms=relu,both", "--evaluate_images=40")


def start(*flags):
    """Starts the study on the digits."""
    program = "examples/studies/gradient_quality.py"
    return subprocess.Popen(
        [sys.executable, program, "--quick", *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class ProgramTest(TestCase):
    def finish(self, process):
        """Waits for the end of a process, and returns what it has printed."""
        try:
            output, errors = process.communicate(timeout=1800)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, errors[-4000:])
        return output

    def rows(self, folder):
        """Returns the rows of the CSV, without what differs each time."""
        with open(folder / "gradient_quality_quick.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            self.assertEqual(tuple(row), engine.columns(STUDY))
        return [lasting(row) for row in rows]

    def test_it_prints_its_table_in_three_minutes_of_one_core(self):
        folder = pathlib.Path(self.get_temp_dir()) / "new"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = self.finish(start(f"--out={folder}"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.assertLess(after.ru_utime - before.ru_utime, 180)
        rows = self.rows(folder)
        self.assertLen(rows, 2 * len(STUDY.arms))
        for row in rows:
            # Above what guessing gives, and lower under attack.
            clean, robust = (
                float(row[f"{kind}_accuracy"]) for kind in ("clean", "robust")
            )
            self.assertGreater(clean, 0.3)
            self.assertLess(robust, clean)
            self.assertGreater(robust, 0.1)
        for arm in STUDY.arms:
            self.assertIn(f"| `{arm}` | 2 | ", output)
        table = (folder / "gradient_quality_quick.md").read_text()
        self.assertIn(table, output)
        picture = (folder / "gradient_quality_quick.png").read_bytes()
        self.assertStartsWith(picture, b"\x89PNG")

    def test_killed_at_random_it_gives_the_same_rows(self):
        folder = pathlib.Path(self.get_temp_dir())
        self.finish(start(*SMALL, f"--out={folder / 'whole'}"))
        whole = self.rows(folder / "whole")
        self.assertLen(whole, 2)
        generator = random.Random(0)
        for _ in range(3):
            process = start(*SMALL, f"--out={folder / 'killed'}")
            time.sleep(generator.uniform(5, 20))
            process.kill()
            process.communicate()
        self.finish(start(*SMALL, f"--out={folder / 'killed'}"))
        self.assertEqual(self.rows(folder / "killed"), whole)
        # One row by itself, from its arm and its seed.
        again = self.finish(start(*SMALL, "--row=both:0"))
        lines = again[again.index("study,arm,seed") :].splitlines()
        (row,) = csv.DictReader(lines)
        self.assertEqual(lasting(row), whole[1])

    def test_what_there_is_not_is_named(self):
        for flags, words in (
            (["--arms=tanh"], "`arms` must name arms of .*'tanh'"),
            (["--row=relu"], "`row` must name arms|`row` must be arm:seed"),
            (["--out=/proc/none"], "`out` must be a folder that can be wri"),
        ):
            process = start(*flags)
            _, errors = process.communicate(timeout=300)
            self.assertNotEqual(process.returncode, 0)
            self.assertRegex(errors, f"ValueError: {words}")


def lasting(row):
    """Returns a row without times."""
    return {
        column: value
        for column, value in row.items()
        if column not in engine.varying(STUDY)
    }
