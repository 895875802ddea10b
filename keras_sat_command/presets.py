"""`keras-sat presets`."""

import os

from keras_sat_command import classifiers
from keras_sat_command import problems


def presets(*, card: str | None = None):
    """Lists the trained networks that come with the package.

    Args:
        card: Show what is known of this one: its name, or the folder of a
            preset of your own.
    """
    if card is None:
        import keras_sat

        return str(keras_sat.presets())
    path = os.path.join(classifiers.folder_of(card), "card.md")
    if not os.path.isfile(path):
        known = ", ".join(classifiers.shipped())
        problems.wrong("--card", f"must be a preset, like {known}: {card!r}")
    with open(path, encoding="utf-8") as file:
        return file.read().rstrip()
