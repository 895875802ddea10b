"""Says that pictures are to be turned, which the datasets do not do."""

from keras_sat import programs
from keras_sat.preprocessing import exif

# So many files of a folder are looked at: a folder may have millions.
MOST = 1000
# Cameras write their notes before the pixels.
HEAD_BYTES = 2**16


def say_turned(paths):
    """Says how many pictures have the note of a camera that they are turned.

    Viewers turn them. The datasets do not, and neither do the official
    evaluations, with which accuracies are compared.

    Args:
        paths: list of str. Files; of many, some are looked at.
    """
    some = paths[:: -(-len(paths) // MOST)]
    turned = [path for path in some if _is_turned(path)]
    if turned:
        programs.say(
            f"{len(turned)} of {len(some)} pictures that were looked at are "
            f"seen lying or mirrored, like {turned[0]!r}: a camera noted a "
            "turn (Exif) that is not applied. `data.check_folder` lists all."
        )


def _is_turned(path):
    """Tells if the first bytes of a file have a note that turns the picture."""
    with open(path, "rb") as file:
        return exif.orientation(file.read(HEAD_BYTES)) != exif.UPRIGHT
