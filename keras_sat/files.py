"""Files that are written whole or not at all."""

import contextlib
import os


def write(path, write_to):
    """Writes a file under another name, then renames it.

    Whatever happens in between (a crash, a full disk), `path` holds either what
    it held before or the whole of what is new.

    Args:
        path: str or path-like.
        write_to: function that is given a binary file to write to.
    """
    path = os.fspath(path)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def write_text(path, text):
    """Writes a text file in UTF-8; see `write`."""
    write(path, lambda file: file.write(text.encode("utf-8")))
