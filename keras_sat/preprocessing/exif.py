"""The turn that a camera notes in a picture, instead of turning its pixels.

Viewers apply it, but decoders of TensorFlow do not.
"""

import struct

# The number of the note, and the value that stands for "as it is".
ORIENTATION, UPRIGHT = 0x0112, 1
# Kinds of parts of a JPEG: those without content, and where the pixels begin.
EMPTY_PARTS = {0x01, *range(0xD0, 0xD9)}
PIXELS = 0xDA


def orientation(contents):
    """Returns how a picture has to be turned to be upright.

    Args:
        contents: bytes. A JPEG, PNG or WebP file; others have no such note.

    Returns:
        int from 1 to 8; `1`, which means upright, if nothing is noted, or if
        the note is damaged.

    Reference:
    - [Exif 2.32](https://www.cipa.jp/e/std/std-sec.html)
    """
    try:
        note = _note(contents)
        found = _orientation_of(note.removeprefix(b"Exif\0\0"))
    except struct.error:
        # A part ends before its content does.
        return UPRIGHT
    return found if 1 <= found <= 8 else UPRIGHT


def _note(contents):
    """Returns the Exif part of a file, empty if there is none."""
    if contents.startswith(b"\xff\xd8"):
        return _of_jpeg(contents)
    if contents.startswith(b"\x89PNG"):
        return _of_chunks(contents, 8, ">I4s", b"eXIf", padding=4)
    if contents.startswith(b"RIFF"):
        return _of_chunks(contents, 12, "<4sI", b"EXIF")
    return b""


def _of_jpeg(contents):
    place = 2
    while place + 4 <= len(contents):
        mark, kind, size = struct.unpack_from(">BBH", contents, place)
        if mark != 0xFF or kind == PIXELS:
            break
        if kind in EMPTY_PARTS:
            place += 2
            continue
        part = contents[place + 4 : place + 2 + size]
        if kind == 0xE1 and part.startswith(b"Exif\0\0"):
            return part
        place += 2 + size
    return b""


def _of_chunks(contents, place, head, wanted, padding=0):
    """Returns the content of a chunk of a PNG or WebP.

    Args:
        contents: bytes.
        place: int. Where the first chunk begins.
        head: str. The format of the size and the name of a chunk.
        wanted: bytes. The name of the chunk.
        padding: int. How many bytes follow a content. A WebP fills up to an
            even number instead.
    """
    while place + 8 <= len(contents):
        first, second = struct.unpack_from(head, contents, place)
        name, size = (first, second) if head[0] == "<" else (second, first)
        if name == wanted:
            return contents[place + 8 : place + 8 + size]
        place += 8 + size + (padding or size % 2)
    return b""


def _orientation_of(note):
    """Reads the orientation in the first list of notes of a TIFF."""
    order = {b"II": "<", b"MM": ">"}.get(note[:2])
    if order is None:
        return UPRIGHT
    (place,) = struct.unpack_from(order + "I", note, 4)
    (count,) = struct.unpack_from(order + "H", note, place)
    for i in range(count):
        entry = place + 2 + 12 * i
        number, _, _, value = struct.unpack_from(order + "HHIH", note, entry)
        if number == ORIENTATION:
            return value
    return UPRIGHT
