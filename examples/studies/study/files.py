"""Files that are written whole or not at all, with errors that have names."""

import contextlib
import errno
import os
import tempfile


def write(path, content):
    """Writes a file whole or not at all, whatever ends this process.

    Args:
        path: str. It is replaced, if it exists.
        content: str, written in UTF-8, or bytes.

    Raises:
        ValueError: If it cannot be written.
    """
    if isinstance(content, str):
        content = content.encode("utf-8")
    folder, name = os.path.split(os.fspath(path))
    with named_errors(path):
        number, temporary = tempfile.mkstemp(".tmp", name, folder or ".")
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                # Else a machine that loses power may keep an empty file.
                os.fsync(file.fileno())
            # `mkstemp` lets nobody else read it.
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(temporary)


@contextlib.contextmanager
def named_errors(path):
    """Gives errors of the file system a name and an advice.

    Args:
        path: str. What is to be written.
    """
    try:
        yield
    except OSError as error:
        advice = "Give another folder."
        if error.errno == errno.ENOSPC:
            advice = "Make room on the disk; finished runs are kept."
        raise ValueError(
            "`out` must be a folder that can be written. Received: "
            f"{os.fspath(path)!r} ({error.strerror}). {advice}"
        ) from error
