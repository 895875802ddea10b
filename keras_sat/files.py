"""Files that are written whole or not at all."""

import contextlib
import glob
import os
import secrets


@contextlib.contextmanager
def replacing(path, extension=""):
    """Lends another name to write under, which then replaces `path`.

    Whatever happens in between (a crash, a full disk), `path` holds either what
    it held before or the whole of what is new. No other process or thread is
    lent that name.

    Args:
        path: str or path-like.
        extension: str. What the other name has to end with.

    Yields:
        str. Write a file there.
    """
    path = os.fspath(path)
    own = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = f"{path}.{own}.tmp{extension}"
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


def write(path, write_to):
    """Writes a file whole or not at all; see `replacing`.

    Args:
        path: str or path-like.
        write_to: function that is given a binary file to write to.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write_to(file)


def write_text(path, text):
    """Writes a text file in UTF-8; see `write`."""
    write(path, lambda file: file.write(text.encode("utf-8")))


def remove_unfinished(directory, names):
    """Removes what processes that were killed while they wrote have left.

    Args:
        directory: str or path-like. No other process may write there.
        names: str. Pattern of the names of the files that were to be written.
    """
    directory = glob.escape(os.fspath(directory))
    for path in glob.glob(os.path.join(directory, f"{names}.*.tmp*")):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
