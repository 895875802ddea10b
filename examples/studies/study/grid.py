"""A grid of runs that survives kills, and that processes may share."""

import contextlib
import csv
import io
import json
import os
import tempfile
import time

import filelock

from study import files

# How many seconds to wait for runs of other processes.
PATIENCE = 2.0
ENDING = ".json"


class Grid:
    """The rows of a study: one file for each run, written whole or not at all.

    A process claims a run by a lock, which the operating system releases when
    the process ends, even if it is killed. Then the run is free again.

    The CSV, with `grid.json` in the folder, is enough to go on elsewhere: rows
    that only the table has are taken from it.

    Args:
        folder: str. Where the rows are; it is created.
        table: str. Path of the CSV that collects them.
        columns: sequence of str.
        header: dict that JSON can hold: what all rows have in common.

    Raises:
        ValueError: If the folder cannot be written or belongs to a grid with
            another header, or if the table holds rows of another one.
    """

    def __init__(self, folder, table, columns, header):
        self.folder, self.table = folder, table
        self.columns, self.header = tuple(columns), header
        self.started = time.time()
        self._rows = os.path.join(folder, "rows")
        with files.named_errors(folder):
            os.makedirs(self._rows, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._rows):
                pass
        with self._lock("grid"):
            known = self._check_header()
            self._take_up_table(known)
            files.write(self._header_path, json.dumps(header, indent=1))

    def rows(self):
        """Returns the rows that are done, in order of their file names."""
        return [self._read(name) for name in self._names()]

    def done(self):
        """Returns the set of `(arm, seed)` that are done."""
        names = (name.removesuffix(ENDING) for name in self._names())
        pairs = (name.rpartition("-") for name in names)
        return {(arm, int(seed)) for arm, _, seed in pairs}

    def work(self, runs, compute, say):
        """Does all runs that are not done, until they are.

        Args:
            runs: sequence of `(arm, seed)`, in the order in which to do them.
            compute: function from an arm and a seed to a row.
            say: function that tells users a line.
        """
        while True:
            left = [run for run in runs if run not in self.done()]
            if not left:
                break
            if not self._work_once(left, runs, compute, say):
                # All that is left is being done by other processes.
                time.sleep(PATIENCE)
        self.collect()

    def _work_once(self, left, runs, compute, say):
        """Does each run that is free; returns whether there was any."""
        worked = False
        for run in left:
            with self._claimed(run) as mine:
                if not mine or run in self.done():
                    continue
                self._write(run, compute(*run))
                worked = True
            self.collect()
            say(self._progress(run, runs))
        return worked

    def collect(self):
        """Writes all rows that are done to the table."""
        with self._lock("table"):
            files.write(self.table, as_csv(self.rows(), self.columns))

    def time_left(self, runs):
        """Estimates how many seconds the rest of the runs will take.

        Args:
            runs: sequence of `(arm, seed)`.

        Returns:
            float, by the speed at which all processes finished runs since this
            one started; `None` if none was finished.
        """
        done = self.done()
        times = [os.stat(self._path(run)).st_mtime for run in done]
        recent = sum(moment > self.started for moment in times)
        if not recent:
            return None
        left = sum(run not in done for run in runs)
        return left * (time.time() - self.started) / recent

    def _progress(self, run, runs):
        """Returns the line that tells of a finished run."""
        row = self._read(os.path.basename(self._path(run)))
        number = sum(other in self.done() for other in runs)
        parts = [
            f"{self.header['study']}: {number} of {len(runs)} runs",
            f"{row['arm']}, seed {row['seed']}: "
            f"{100 * row['clean_accuracy']:.1f} % clean, "
            f"{100 * row['robust_accuracy']:.1f} % robust, "
            f"{row['seconds']:.0f} s",
        ]
        left = self.time_left(runs)
        if left:
            parts.append(f"about {duration(left)} left")
        return " | ".join(parts)

    @contextlib.contextmanager
    def _claimed(self, run):
        """Yields whether this process has the run for itself."""
        lock = filelock.FileLock(self._path(run).removesuffix(ENDING) + ".lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _lock(self, name):
        """Returns a lock on a part of the grid, for a moment."""
        return filelock.FileLock(os.path.join(self.folder, f"{name}.lock"))

    def _path(self, run):
        """Returns the path of the row of a run."""
        arm, seed = run
        return os.path.join(self._rows, f"{arm}-{seed}{ENDING}")

    def _names(self):
        """Returns the names of the files of the rows, sorted by arm and seed.

        Temporary files of killed processes have another ending.
        """
        names = [n for n in os.listdir(self._rows) if n.endswith(ENDING)]

        def key(name):
            arm, _, seed = name.removesuffix(ENDING).rpartition("-")
            return self._order(arm), arm, int(seed)

        return sorted(names, key=key)

    def _order(self, arm):
        """Returns the place of an arm among those of the study."""
        arms = self.header["arms"]
        return arms.index(arm) if arm in arms else len(arms)

    def _read(self, name):
        """Reads the row of a file."""
        with open(os.path.join(self._rows, name), encoding="utf-8") as file:
            return json.load(file)

    def _write(self, run, row):
        """Keeps a row; from then on its run is done."""
        if set(row) != set(self.columns):
            different = sorted(set(row) ^ set(self.columns))
            raise ValueError(
                "`measure` must return the columns of its study. Received "
                f"others, or not all: {different}."
            )
        row = {column: row[column] for column in self.columns}
        files.write(self._path(run), json.dumps(row, indent=1))

    @property
    def _header_path(self):
        """The path of the file that says what all rows have in common."""
        return os.path.join(self.folder, "grid" + ENDING)

    def _check_header(self):
        """Returns whether the folder has this header; refuses another one."""
        if not os.path.exists(self._header_path):
            return False
        with open(self._header_path, encoding="utf-8") as file:
            found = json.load(file)
        wanted = json.loads(json.dumps(self.header))
        if found != wanted:
            keys = [k for k in wanted if found.get(k) != wanted[k]]
            raise ValueError(
                "`out` must hold runs of this grid only. Received: "
                f"out={self.folder!r}, whose grid has another "
                f"{', '.join(keys) or 'header'}. Give another folder."
            )
        return True

    def _take_up_table(self, known):
        """Keeps rows that only the table has, or refuses it as a foreign one.

        Args:
            known: bool. Whether the folder is known to be of this grid.
        """
        if not os.path.exists(self.table):
            return
        with open(self.table, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            own = reader.fieldnames == list(self.columns)
            rows = list(reader) if own else []
        done = self.done()
        new = {(row["arm"], int(row["seed"])): row for row in rows}
        new = {run: row for run, row in new.items() if run not in done}
        if not own or (new and not known):
            raise ValueError(
                "`out` must hold no table of other runs. Received: "
                f"{self.table!r}. Move it away, or give another folder."
            )
        for run, row in new.items():
            self._write(run, row)


def as_csv(rows, columns):
    """Returns rows as CSV, in which `float` reads each number back exactly."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def duration(seconds):
    """Returns words for a time."""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
