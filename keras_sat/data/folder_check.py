"""Finds the files in a folder of images that should not be trained on."""

import concurrent.futures
import dataclasses
import hashlib
import os

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.data import sources
from keras_sat.preprocessing import exif

# The lines of a text: the name of a list, and what it means.
MEANINGS = {
    "broken": "cannot be decoded",
    "skipped": "are ignored, because of their ending or their place",
    "tiny": "are smaller than asked for",
    "rotated": "are seen lying or mirrored: viewers turn them, image_folder "
    "does not",
    "doubled": "groups of files are equal to the byte",
}
# So many names stand in a text.
MAX_NAMES = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderCheck:
    """The files of a folder of images that need attention.

    Paths are relative to the folder, and sorted. A true value means that there
    is nothing to be said.

    Args:
        num_images: int. How many files have the ending of an image, and are in
            the sub-folder of a class.
        broken: tuple of str. Images that cannot be decoded.
        skipped: tuple of str. Other files, which are not read. Hidden ones are
            left out.
        tiny: tuple of str. Images with fewer pixels in height or width than
            asked for.
        rotated: tuple of str. Images whose Exif data say how to turn them.
        doubled: tuple of tuples of str. Groups of equal files, of which one may
            be in another class.
    """

    num_images: int
    broken: tuple = ()
    skipped: tuple = ()
    tiny: tuple = ()
    rotated: tuple = ()
    doubled: tuple = ()

    def __bool__(self):
        return not any(getattr(self, name) for name in MEANINGS)

    def __str__(self):
        lines = [f"{self.num_images} images"]
        for name, meaning in MEANINGS.items():
            found = getattr(self, name)
            if not found:
                continue
            lines += ["", f"{name}: {len(found)} {meaning}"]
            for entry in found[:MAX_NAMES]:
                parts = entry if isinstance(entry, tuple) else (entry,)
                lines.append(f"  {' = '.join(parts)}")
            if len(found) > MAX_NAMES:
                lines.append(f"  and {len(found) - MAX_NAMES} more")
        return "\n".join(lines if not self else [*lines, "", "No remarks."])


@dataclasses.dataclass(frozen=True)
class _File:
    """An image file, and what was found out about it."""

    name: str
    digest: bytes
    height: int
    width: int
    orientation: int

    @property
    def is_broken(self):
        return not self.height


def check_folder(directory, smallest=32):
    """Lists the files of a folder that `image_folder` should not be given.

    All images are decoded, by as many threads as there are processor cores.
    Nothing is changed.

    Args:
        directory: str or path-like. A folder with a sub-folder for each class;
            see `image_folder`.
        smallest: int >= 1. Height and width that an image should have.
            Defaults to `32`.

    Returns:
        `FolderCheck`, which can be printed: lists of broken, skipped, tiny,
        rotated and doubled files.

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If there is no such folder, or `smallest` is less than 1.

    Example:

    ```python
    print(keras_sat.data.check_folder("flowers/train", smallest=128))
    ```
    """
    directory = checks.path("directory", directory)
    checks.integer("smallest", smallest)
    if not os.path.isdir(directory):
        checks.refuse("directory", "be an existing folder", directory)
    names, skipped = _names(directory)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda name: _read(directory, name), names))
    whole = [file for file in found if not file.is_broken]
    return FolderCheck(
        num_images=len(found),
        broken=tuple(file.name for file in found if file.is_broken),
        skipped=tuple(skipped),
        tiny=tuple(
            file.name
            for file in whole
            if min(file.height, file.width) < smallest
        ),
        rotated=tuple(
            file.name for file in whole if file.orientation != exif.UPRIGHT
        ),
        doubled=_doubled(found),
    )


def _names(directory):
    """Returns the files that are read and those that are skipped, sorted."""
    images, skipped = [], []
    for parent, folders, names in os.walk(directory):
        if parent == directory:
            # Those are no classes.
            folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            path = os.path.relpath(os.path.join(parent, name), directory)
            if parent != directory and sources.is_image(name):
                images.append(path)
            elif not name.startswith("."):
                skipped.append(path)
    return sorted(images), sorted(skipped)


def _read(directory, name):
    """Returns what is known of an image, as `_File`."""
    with open(os.path.join(directory, name), "rb") as file:
        contents = file.read()
    try:
        height, width, _ = preprocessing.decode(contents).shape
    except tf.errors.InvalidArgumentError:
        height = width = 0
    digest = hashlib.sha256(contents).digest()
    return _File(name, digest, height, width, exif.orientation(contents))


def _doubled(files):
    """Returns the groups of names of equal files."""
    groups = {}
    for file in files:
        groups.setdefault(file.digest, []).append(file.name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
