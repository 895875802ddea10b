"""The division of a folder into images to train on, and to validate on."""

import functools

import numpy as np

from keras_sat import checks

SUBSETS = ("both", "training", "validation")


def check(validation_split, subset):
    """Refuses arguments of `image_folder` that do not fit together.

    Args:
        validation_split, subset: see `image_datasets.image_folder`.
    """
    if validation_split is None:
        if subset is not None:
            checks.refuse(
                "subset", "be None without `validation_split`", subset
            )
        return
    checks.real("validation_split", validation_split, above=0)
    if validation_split >= 1:
        checks.refuse("validation_split", "be less than 1", validation_split)
    checks.one_of("subset", subset, SUBSETS)


def chooser(subset, validation_split, seed):
    """Returns the function that chooses the images of a part of a folder.

    Args:
        subset: str, `"training"` or `"validation"`, or `None` for all.
        validation_split: float in `(0, 1)`, or `None`.
        seed: int.

    Returns:
        Function from the number of images to a sorted list of indices; `None`
        if all are wanted.
    """
    if validation_split is None:
        return None
    return functools.partial(_chosen, subset, validation_split, seed)


def _chosen(subset, validation_split, seed, count):
    """Returns the indices of a part of `count` images."""
    held_out = int(validation_split * count)
    if not held_out:
        checks.refuse(
            "validation_split",
            f"hold out an image or more of {count}",
            validation_split,
        )
    # As Keras shuffles the files, of which it holds out the last ones.
    order = np.arange(count)
    np.random.RandomState(seed).shuffle(order)
    first, last = order[:-held_out], order[-held_out:]
    return sorted(first if subset == "training" else last)
