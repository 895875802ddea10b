"""A file that keeps the results of a long computation, line by line."""

import json
import os

import numpy as np

from keras_sat import checks

_FORMAT = {"format": "keras_sat journal 1"}
# The first bytes of every journal: a file without them is left untouched.
_START = json.dumps(_FORMAT)[:-1].encode()


class Journal:
    """Results that are on the disk as soon as they are known.

    The first line of the file is a header that says what is computed; each line
    after it holds one result. A line that was cut off when the program was
    killed is dropped, and its result has to be computed again.

    Args:
        path: str or path-like. The file is created if it is missing. `None` to
            keep the results in memory only.
        header: dict of what JSON can hold. A file with another header is
            refused. Floats may differ by a thousandth, because two runs of a
            model may differ in rounding.

    Raises:
        ValueError: If `path` cannot be written, is no journal, or belongs to
            another computation.
    """

    def __init__(self, path, header):
        self._entries, self._added = {}, 0
        self._path = None if path is None else checks.path("state_path", path)
        if self._path is None:
            return
        header = _FORMAT | header
        lines = self._read()
        if not lines:
            self._append(header)
            return
        different = _differences(lines[0], header)
        if different:
            checks.refuse(
                "state_path",
                "belong to the same evaluation",
                checks.Described(
                    f"{self._path!r}, which has other {', '.join(different)}"
                ),
                "Delete the file, or give another path.",
            )
        for entry in lines[1:]:
            self._entries[tuple(entry["key"])] = entry["value"]

    @property
    def is_new(self):
        """True if there is no result yet."""
        return not self._entries

    @property
    def has_grown(self):
        """True if a result was added that the file did not hold before."""
        return self._added > 0

    def get(self, *key):
        """Returns the result under a key of integers, or `None`."""
        return self._entries.get(key)

    def add(self, *key, value):
        """Adds a result under a key of integers, and writes it to the disk."""
        self._entries[key] = value
        self._added += 1
        if self._path is not None:
            self._append({"key": key, "value": value})

    def _read(self):
        """Returns the complete lines, and cuts the file after the last one."""
        try:
            with open(self._path, "a+b") as file:
                file.seek(0)
                content = file.read()
                whole = content.rfind(b"\n") + 1
                lines = self._parse(content, whole)
                file.truncate(whole)
        except OSError as error:
            checks.refuse(
                "state_path",
                "be a file that can be written",
                checks.Described(f"{self._path!r} ({error.strerror})"),
            )
        return lines

    def _parse(self, content, whole):
        """Returns the lines as objects, or refuses a file that is no journal.

        Args:
            content: bytes. All that the file holds.
            whole: int. Where its last complete line ends.
        """
        try:
            lines = [json.loads(line) for line in content[:whole].splitlines()]
        except ValueError:
            lines = None
        # The program may have been killed while it wrote the header: then the
        # file holds the beginning of `_START` only.
        if lines is None or not content.startswith(_START[: len(content)]):
            checks.refuse(
                "state_path",
                "be a file that an evaluation wrote",
                self._path,
                "Delete the file, or give another path.",
            )
        return lines

    def _append(self, content):
        """Writes one more line, and waits until it is on the disk."""
        with open(self._path, "ab") as file:
            file.write(json.dumps(content).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _differences(old, new):
    """Returns the sorted keys under which two headers differ."""
    return [
        key
        for key in sorted(old.keys() | new.keys())
        # JSON turns tuples into lists: compare what the file would hold.
        if not _same(old.get(key), json.loads(json.dumps(new.get(key))))
    ]


def _same(old, new):
    """Returns true if two values are equal, floats up to a thousandth."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, float) and isinstance(new, float):
        return bool(np.isclose(old, new, rtol=1e-3, atol=1e-3, equal_nan=True))
    return old == new
