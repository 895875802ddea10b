"""A file with the attacks that an evaluation is in the middle of.

The journal has the results of whole batches. What lies between two of its lines
can be an hour of work: it is saved after every piece of an attack, beside the
journal.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import time
import zipfile
import zlib

import numpy as np
from absl import logging

from keras_sat import files

_DAMAGED = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
# Short pieces are not worth a file each.
SECONDS = 1.0
# Files that take long to write, those of large images, are written less often:
# writing must take no more than this share of the time.
SHARE = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Snapshot:
    """Images in the middle of attacks.

    Args:
        batches: dict from the index of each batch that is on its way to a dict
            of arrays: its `checksum`, `outcomes`, `passed`, `seconds`, and
            `adversarial`; see `OpenBatch`.
        stages: list with, for each attack, the list of the tensors of its
            state, flat, as arrays with the images in front. It is empty if no
            image is at work.
        rows: list of int arrays: which images these are.
    """

    batches: dict
    stages: list
    rows: list


class Snapshots:
    """Keeps the newest `Snapshot` in a file, which another thread writes.

    Args:
        path: str or path-like, or `None` to keep nothing.
        header: dict of what JSON can hold. A file with another header is one of
            another evaluation, and is not read.
    """

    def __init__(self, path, header):
        self._path = None if path is None else f"{os.fspath(path)}.pieces"
        text = json.dumps(header, sort_keys=True, default=str)
        self._mark = zlib.crc32(text.encode())
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._written = None
        self._time = time.monotonic()
        # How long the last file took to write.
        self._seconds = 0.0

    @property
    def is_due(self):
        """True if it is time for another snapshot."""
        if self._path is None:
            return False
        wanted = max(SECONDS, self._seconds / SHARE)
        return time.monotonic() - self._time >= wanted

    def load(self):
        """Returns the `Snapshot` of an evaluation that was interrupted.

        Returns:
            `None` if there is none, or one that cannot be used.
        """
        if self._path is None or not os.path.exists(self._path):
            return None
        try:
            with open(self._path, "rb") as file, np.load(file) as arrays:
                if int(arrays["mark"]) != self._mark:
                    return None
                return _unpacked(arrays)
        except _DAMAGED as error:
            logging.warning(
                "%s cannot be read (%s): the attacks on some images begin "
                "again.",
                self._path,
                error,
            )
            return None

    def save(self, snapshot):
        """Begins to write a snapshot, once the one before is on the disk.

        Args:
            snapshot: `Snapshot`, whose arrays do not change any more.
        """
        if self._path is None:
            return
        self._wait()
        self._time = time.monotonic()
        arrays = {"mark": np.array(self._mark), **_packed(snapshot)}
        self._written = self._thread.submit(self._write, arrays)

    def _write(self, arrays):
        """Writes a file, and notes how long that takes."""
        start = time.monotonic()
        files.write(self._path, lambda file: np.savez(file, **arrays))
        self._seconds = time.monotonic() - start

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        """Waits for the file, and removes it once the evaluation is finished.

        It stays if an error has come out of the evaluation.
        """
        try:
            self._wait()
        finally:
            self._thread.shutdown()
        if kind is None and self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.remove(self._path)

    def _wait(self):
        if self._written is not None:
            self._written.result()
            self._written = None


def _packed(snapshot):
    """Returns a snapshot as a flat dict of arrays."""
    arrays = {}
    for index, batch in snapshot.batches.items():
        for name, value in batch.items():
            arrays[f"batch/{index}/{name}"] = value
    for i, (state, rows) in enumerate(
        zip(snapshot.stages, snapshot.rows, strict=True)
    ):
        arrays[f"rows/{i}"] = rows
        for j, value in enumerate(state):
            arrays[f"stage/{i}/{j}"] = value
    return arrays


def _unpacked(arrays):
    """Returns the `Snapshot` that `_packed` made a dict of."""
    batches, rows, stages = {}, {}, {}
    for key in arrays.files:
        kind, *path = key.split("/")
        if kind == "batch":
            batches.setdefault(int(path[0]), {})[path[1]] = arrays[key]
        elif kind == "rows":
            rows[int(path[0])] = arrays[key]
        elif kind == "stage":
            stages.setdefault(int(path[0]), {})[int(path[1])] = arrays[key]
    count = len(rows)
    return Snapshot(
        batches=batches,
        stages=[
            [value for _, value in sorted(stages.get(i, {}).items())]
            for i in range(count)
        ],
        rows=[rows[i] for i in range(count)],
    )
