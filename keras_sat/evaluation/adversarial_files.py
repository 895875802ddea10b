"""The adversarial images of an evaluation, kept in a file for each batch."""

import glob
import os

import numpy as np

from keras_sat import checks
from keras_sat import files


class AdversarialFiles:
    """Writes the adversarial images of each batch, if a folder is given.

    Args:
        directory: str or path-like, or `None` to keep nothing. It must exist,
            and no other process may write to it.
        is_new: bool. Whether the evaluation has just begun. Then images that
            lie in the folder are those of another evaluation.

    Raises:
        ValueError: If the folder holds images of another evaluation.
    """

    def __init__(self, directory, is_new):
        self.directory = directory
        if directory is None:
            return
        files.remove_unfinished(directory, "batch_*.npz")
        if is_new and glob.glob(os.path.join(directory, "batch_*.npz")):
            checks.refuse(
                "adversarial_dir",
                "hold no images of another evaluation",
                directory,
                "Empty the folder, or give another one.",
            )

    def path(self, batch):
        """Returns the path of the file for a `Batch`."""
        return os.path.join(self.directory, f"batch_{batch.index:06}.npz")

    def is_complete(self, batch):
        """Returns true if no file has to be written for a `Batch`."""
        return self.directory is None or os.path.exists(self.path(batch))

    def write(self, case):
        """Writes the file for a `WorstCase`, unless it exists."""
        if self.is_complete(case.batch):
            return
        arrays = {
            "images": case.batch.images,
            "adversarial": case.adversarial,
            "labels": case.batch.labels,
            "outcomes": case.outcomes,
        }
        files.write(
            self.path(case.batch),
            lambda file: np.savez_compressed(file, **arrays),
        )
