import csv
import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from unittest import mock

from study import grid

from tests.examples.studies import sleeping_grid
from tests.test_case import TestCase

ROOT = pathlib.Path(__file__).parents[3]
ARMS = ("relu", "silu", "smooth_relu")


def start(folder, seeds, seconds):
    """Starts a process that works on a grid of runs that sleep."""
    words = [str(folder), ",".join(ARMS), str(seeds), str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.examples.studies.sleeping_grid", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class GridTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.lines = []

    def work(self, seeds=2, arms=ARMS, compute=sleeping_grid.row):
        """Does the runs of a grid here, and returns the rows of its CSV."""
        runs = [(arm, seed) for seed in range(seeds) for arm in arms]
        made = sleeping_grid.made(self.folder, ARMS)
        made.work(runs, compute, self.lines.append)
        return self.table()

    def table(self):
        with open(self.folder / "sleep.csv", newline="") as file:
            return list(csv.DictReader(file))

    def test_each_run_becomes_a_row_in_the_order_of_the_arms(self):
        rows = self.work()
        self.assertEqual(
            [(row["arm"], row["seed"]) for row in rows],
            [(arm, str(seed)) for arm in ARMS for seed in range(2)],
        )
        for row in rows:
            expected = sleeping_grid.row(row["arm"], int(row["seed"]))
            # To the last bit.
            self.assertEqual(
                float(row["robust_accuracy"]), expected["robust_accuracy"]
            )
        self.assertRegex(self.lines[0], "sleep: 1 of 6 runs .* min left")
        self.assertIn("sleep: 6 of 6 runs", self.lines[-1])

    def test_rows_that_are_done_are_not_done_again(self):
        self.work(seeds=1)
        begun = []

        def compute(arm, seed):
            begun.append((arm, seed))
            return sleeping_grid.row(arm, seed)

        rows = self.work(seeds=2, compute=compute)
        self.assertEqual(begun, [(arm, 1) for arm in ARMS])
        self.assertLen(rows, 6)

    def test_a_run_that_fails_leaves_the_others(self):
        def compute(arm, seed):
            if arm == "silu":
                raise KeyboardInterrupt
            return sleeping_grid.row(arm, seed)

        with self.assertRaises(KeyboardInterrupt):
            self.work(compute=compute)
        self.assertLen(self.table(), 1)
        self.assertLen(self.work(), 6)

    def test_a_row_without_a_column_is_refused(self):
        with self.assertRaisesRegex(ValueError, "the columns.*'seconds'"):
            self.work(compute=lambda arm, seed: {"arm": arm, "seed": seed})

    def test_another_grid_in_the_same_folder_is_refused(self):
        self.work(seeds=1)
        with self.assertRaisesRegex(ValueError, "`out` must.*another arms"):
            sleeping_grid.made(self.folder, ["relu"])

    def test_a_foreign_table_is_refused(self):
        path = self.folder / "sleep.csv"
        own = ",".join(sleeping_grid.COLUMNS)
        for text in "a,b\n1,2\n", "", f"{own}\nrelu,0,0.5,0.4,1\n":
            path.write_text(text)
            with self.assertRaisesRegex(ValueError, "table of other runs"):
                sleeping_grid.made(self.folder, ARMS)
            self.assertEqual(path.read_text(), text)

    def test_the_table_and_the_header_are_enough_to_go_on_elsewhere(self):
        before = self.work(seeds=1)
        rows = self.folder / "sleep" / "rows"
        for path in rows.iterdir():
            path.unlink()
        begun = []

        def compute(arm, seed):
            begun.append((arm, seed))
            return sleeping_grid.row(arm, seed)

        after = self.work(seeds=2, compute=compute)
        self.assertEqual(begun, [(arm, 1) for arm in ARMS])
        self.assertEqual([r for r in after if r["seed"] == "0"], before)
        self.assertLen(after, 6)

    def test_a_folder_that_cannot_be_written_is_named(self):
        path = self.folder / "file"
        path.write_text("")
        with self.assertRaisesRegex(ValueError, "`out` must be.*'.*file.*Give"):
            sleeping_grid.made(path, ARMS)

    def test_a_full_disk_is_named_and_leaves_what_was_done(self):
        self.work(seeds=1)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with (
            mock.patch.object(os, "fsync", side_effect=full),
            self.assertRaisesRegex(ValueError, "No space left.*Make room"),
        ):
            self.work(seeds=2)
        self.assertLen(self.table(), 3)
        self.assertEmpty(list(self.folder.rglob("*.tmp")))
        self.assertLen(self.work(seeds=2), 6)

    def test_what_a_killed_process_was_writing_is_no_row(self):
        self.work(seeds=1)
        (self.folder / "sleep" / "rows" / "relu-1.jsonabc.tmp").write_text("{")
        self.assertLen(self.work(seeds=2), 6)

    def test_time_left_counts_the_runs_of_all_processes(self):
        made = sleeping_grid.made(self.folder, ARMS)
        runs = [(arm, seed) for seed in range(3) for arm in ARMS]
        self.assertIsNone(made.time_left(runs))
        rows = self.folder / "sleep" / "rows"
        for arm in ARMS:
            path = rows / f"{arm}-0.json"
            path.write_text(json.dumps(sleeping_grid.row(arm, 0)))
        # One is older than this process, two took a minute together.
        os.utime(rows / "relu-0.json", (0, 0))
        made.started = time.time() - 60
        self.assertAllClose(made.time_left(runs), 6 * 30, rtol=0.05)

    def test_words_for_times(self):
        self.assertEqual(grid.duration(130), "2 min")
        self.assertEqual(grid.duration(2 * 3600 + 300), "2 h 5 min")


class ProcessesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def begun(self):
        path = self.folder / "begun"
        return path.read_text().split() if path.exists() else []

    def finish(self, process):
        try:
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, output)
        return output

    def check_table(self, seeds):
        """Checks that the CSV holds each run once, as an undisturbed one."""
        with open(self.folder / "sleep.csv", newline="") as file:
            found = list(csv.reader(file))
        text = grid.as_csv(
            [
                sleeping_grid.row(arm, seed)
                for arm in ARMS
                for seed in range(seeds)
            ],
            sleeping_grid.COLUMNS,
        )
        expected = list(csv.reader(text.splitlines()))
        # The last column is the time.
        self.assertEqual(
            [row[:-1] for row in found], [row[:-1] for row in expected]
        )

    def test_processes_share_the_runs(self):
        processes = [start(self.folder, 4, 0.3) for _ in range(2)]
        outputs = [self.finish(process) for process in processes]
        # Each run was begun once, and both processes did some.
        self.assertLen(self.begun(), 12)
        self.assertLen(set(self.begun()), 12)
        for output in outputs:
            self.assertNotEmpty(output)
        self.check_table(4)

    def test_killed_three_times_the_grid_is_the_same(self):
        generator = random.Random(0)
        for number in range(1, 4):
            process = start(self.folder, 3, 0.3)
            deadline = time.monotonic() + 120
            # Each gets a little further than the one before.
            while len(self.begun()) < 2 * number:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            time.sleep(generator.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        self.finish(start(self.folder, 3, 0.0))
        self.check_table(3)
        # What had been killed was done again, and nothing else.
        self.assertLessEqual(len(self.begun()), 9 + 3)
