"""Folders that are written under another name, and renamed when complete."""

import contextlib
import os
import re
import secrets

import tensorflow as tf


@contextlib.contextmanager
def unfinished_folder(path):
    """Gives the name of a folder to write to, and removes it in the end.

    Folders that killed processes have left are removed first. If one was killed
    between the two renames of `move`, the older export is put back.

    Args:
        path: str. The place that the result will be moved to.

    Yields:
        str. A name beside `path`, with the process in it.
    """
    gfile = tf.io.gfile
    parent, name = os.path.split(path)
    left = re.compile(re.escape(name) + r"\.\d+(-[0-9a-f]{8})?\.(tmp|old)/?")
    there = gfile.listdir(parent or ".") if gfile.isdir(parent or ".") else []
    for name in filter(left.fullmatch, sorted(there)):
        folder = os.path.join(parent, name.rstrip("/"))
        if folder.endswith(".old") and not gfile.exists(path):
            gfile.rename(folder, path)
        else:
            gfile.rmtree(folder)
    temporary = f"{path}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        yield temporary
    finally:
        if gfile.exists(temporary):
            gfile.rmtree(temporary)


def move(temporary, path):
    """Puts a new folder in the place of an old one.

    Args:
        temporary: str. The new folder, from `unfinished_folder`.
        path: str. Its place.
    """
    gfile = tf.io.gfile
    if not gfile.exists(path):
        gfile.rename(temporary, path)
        return
    old = temporary.removesuffix(".tmp") + ".old"
    # A folder with files cannot be replaced by one rename.
    gfile.rename(path, old)
    try:
        gfile.rename(temporary, path)
    except BaseException:
        gfile.rename(old, path)
        raise
    gfile.rmtree(old)
