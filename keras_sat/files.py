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

# How many seconds to wait for a process that is just about to end.
PATIENCE = 0.5
# The errors of file systems that have no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_FIX = "End that process, or give another path."


@contextlib.contextmanager
def replacing(path, extension=""):
    """Lends a temporary path to write to, and then moves that file to `path`.

    Whatever happens in between (a crash, a full disk), `path` holds either its
    old content or the whole of the new. No other process or thread is lent the
    same temporary path.

    Args:
        path: str or path-like. It is replaced, if it exists.
        extension: str. The end of the temporary path. Defaults to none.

    Yields:
        str. The temporary path.
    """
    path = os.fspath(path)
    own = f"{os.getpid()}-{secrets.token_hex(4)}"
    temporary = f"{path}.{own}.tmp{extension}"
    try:
        yield temporary
        # Else a machine that loses power may keep the new name without content.
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
        write_to: function of a binary file, to which it writes the content.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        write_to(file)


def write_text(path, text):
    """Writes a text file in UTF-8, whole or not at all; see `replacing`.

    Args:
        path: str or path-like.
        text: str.
    """
    write(path, lambda file: file.write(text.encode("utf-8")))


def remove_unfinished(directory, names):
    """Removes the temporary files of processes that were killed.

    Args:
        directory: str or path-like. No other process may write there.
        names: str. Pattern of the names of the files that the processes wanted
            to write.
    """
    directory = glob.escape(os.fspath(directory))
    for path in glob.glob(os.path.join(directory, f"{names}.*.tmp*")):
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)


@contextlib.contextmanager
def alone(name, path, inside=False, kind="file"):
    """Keeps other processes from writing to a path within this context.

    The operating system holds the lock, and releases it when the process ends,
    even if it is killed. While the lock is held, a hidden file tells others
    which process holds it. A thread may take a lock again that it holds.

    Some network file systems do not show the locks of other machines. If one
    of these has left its hidden file, a warning names it.

    Args:
        name: str. The argument that `path` was given as, for errors.
        path: str or path-like: a file, or a folder; its parents are created.
            With `None`, or for an address like `gs://...`, nothing is held.
        inside: bool. Whether `path` is a folder, which is created, with the
            lock inside of it. Else the lock is a file beside `path`. Defaults
            to `False`.
        kind: str. What errors call a `path` that is not created. Defaults to
            `"file"`.

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
    # The one object for this path and thread: it has been taken already.
    if lock.is_locked:
        yield
        return
    with _held(name, path, lock):
        yield


def folder_to_write(name, folder, kind="folder", path=None):
    """Creates a folder, and checks that files can be written there.

    Args:
        name: str. The argument that was given, for errors.
        folder: str or path-like.
        kind: str. What errors call the value of the argument. Defaults to
            `"folder"`.
        path: str. The value of the argument, if it is a path in the folder.
            Defaults to the folder itself.

    Raises:
        ValueError: If no file can be written there.
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
    """Holds a lock that this thread does not hold yet.

    Args:
        name, path: see `alone`.
        lock: `filelock.FileLock`.
    """
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
        # Removed before the lock is released: afterwards they might be the
        # files of another process.
        for left in (note, lock.lock_file):
            with contextlib.suppress(OSError):
                os.remove(left)
        lock.release()


def _owner():
    """Describes this process, as a dict that JSON can hold."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": now.isoformat(timespec="seconds"),
    }


def _noted(note):
    """Returns the description of the process that wrote a note.

    Args:
        note: str. The path of the hidden file.

    Returns:
        Dict, see `_owner`; `None` if there is no file, or it is not readable.
    """
    try:
        with open(note, encoding="utf-8") as file:
            owner = json.load(file)
        return {key: owner[key] for key in ("process", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _words(note):
    """Returns words for the process that holds a lock."""
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
    """Warns of a lock that is free although its owner never released it.

    On this machine that owner was killed. On another one it may still run.
    """
    owner = _noted(note)
    if owner and owner["host"] != socket.gethostname():
        logging.warning(
            "%s was left by process %s on %s without its end (since %s). "
            "Make sure that it has ended: this file system may not show the "
            "locks of other machines.",
            path,
            *owner.values(),
        )
