"""Files that are written whole or not at all, by one process at a time."""

import contextlib
import datetime
import errno
import glob
import json
import os
import secrets
import socket
import tempfile

import filelock
from absl import logging

from keras_sat import checks

# How long to wait for a process that is just about to end.
PATIENCE = 0.5
# What file systems that know no locks answer.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_FIX = "End that process, or give another path."


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


@contextlib.contextmanager
def alone(name, path, inside=False, kind="file"):
    """Keeps other processes from writing to the same place meanwhile.

    The operating system holds the lock, and lets it go when the process ends,
    however that ends. While it is held, a hidden file tells others whose it is.
    A thread may hold a lock that it holds already.

    Where a network file system keeps the locks of each machine to itself, two
    machines can get in each other's way: then a warning names the other one.

    Args:
        name: str. The argument that `path` was given as, for errors.
        path: str or path-like: a file, or a folder; its parents are created.
            With `None`, or for an address like `gs://...`, nothing is held.
        inside: bool. Whether `path` is a folder that is created and holds the
            lock, instead of standing beside it.
        kind: str. What `path` is if it is not created, for errors.

    Raises:
        ValueError: If another process or thread writes there, or if it cannot
            be written.
    """
    if path is None or "://" in checks.path(name, path):
        yield
        return
    path = os.path.abspath(os.fspath(path))
    folder, own = os.path.split(path)
    if inside:
        folder_to_write(name, path)
        folder, own = path, "keras_sat"
    else:
        folder_to_write(name, folder, kind, path)
    lock = filelock.FileLock(
        os.path.join(folder, f".{own}.lock"),
        is_singleton=True,
        fallback_to_soft=False,
    )
    if lock.is_locked:
        yield
        return
    with _held(name, path, lock):
        yield


def folder_to_write(name, folder, kind="folder", path=None):
    """Creates a folder, and makes sure that files can be written there.

    Args:
        name: str. The argument that it was given as, for errors.
        folder: str or path-like.
        kind: str. What was given, for errors.
        path: str. What was given, if it was not the folder that it is in.

    Raises:
        ValueError: If they cannot.
    """
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        received = f"{os.fspath(path or folder)!r} ({error.strerror})"
        checks.refuse(
            name, f"be a {kind} that can be written", checks.Described(received)
        )


@contextlib.contextmanager
def _held(name, path, lock):
    """Holds a lock that this thread does not hold yet."""
    note = f"{lock.lock_file}.json"
    try:
        lock.acquire(timeout=PATIENCE)
    except filelock.Timeout:
        checks.refuse(
            name,
            "be written to by one process at a time",
            checks.Described(f"{path!r}, to which {_words(note)} is writing"),
            _FIX,
        )
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logging.warning(
            "There are no locks at %s (%s): see to it that no other process "
            "writes there.",
            path,
            error.strerror,
        )
        yield
        return
    try:
        _warn_of_another_machine(path, note)
        write_text(note, json.dumps(_owner()))
        yield
    finally:
        # In this order: nobody else can have made them anew meanwhile.
        for left in (note, lock.lock_file):
            with contextlib.suppress(OSError):
                os.remove(left)
        lock.release()


def _owner():
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": now.isoformat(timespec="seconds"),
    }


def _noted(note):
    """Whose lock a note says it is; `None` if there is none to be read."""
    try:
        with open(note, encoding="utf-8") as file:
            owner = json.load(file)
        return {key: owner[key] for key in ("process", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(note):
    owner = _noted(note)
    if owner is None:
        return "another process"
    if (owner["process"], owner["host"]) == (
        os.getpid(),
        socket.gethostname(),
    ):
        return "another thread of this process"
    return "process {process} on {host} (since {since})".format(**owner)


def _warn_of_another_machine(path, note):
    """Doubts a lock that was free although its last owner never let it go."""
    owner = _noted(note)
    if owner and owner["host"] != socket.gethostname():
        logging.warning(
            "%s was left by process %s on %s without its end (since %s). "
            "Make sure that it has ended: this file system may not show the "
            "locks of other machines.",
            path,
            *owner.values(),
        )
