"""What an evaluation shows and keeps while it runs."""

import glob
import os

import keras
import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat.evaluation.report import MISCLASSIFIED


class Keeper:
    """Writes the adversarial images of each batch, if they are to be kept.

    Args:
        directory: str or path-like, or `None`. It must be there, and no other
            process may write to it.
        is_new: bool. Whether the evaluation begins, so that what lies there is
            of another one.

    Raises:
        ValueError: If it holds images of another evaluation.
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
        """The file of a batch."""
        return os.path.join(self.directory, f"batch_{batch.index:06}.npz")

    def has(self, batch):
        """Whether nothing of the batch is left to be kept."""
        return self.directory is None or os.path.exists(self.path(batch))

    def write(self, batch):
        """Writes the file of a batch, unless it is there."""
        if self.has(batch):
            return
        arrays = {
            name: getattr(batch, name)
            for name in ("images", "adversarial", "labels", "outcomes")
        }
        files.write(
            self.path(batch), lambda file: np.savez_compressed(file, **arrays)
        )


class Progress:
    """A progress bar with the accuracies so far.

    Args:
        size: int. Number of batches, or `None`.
        attacks: int. How many are tried on each.
        verbose: int. 0 for none.
    """

    def __init__(self, size, attacks, verbose):
        self.attacks = attacks
        self.done = 0
        self.counts = {}
        self.bar = keras.utils.Progbar(
            size * attacks if size and attacks else None,
            verbose=verbose,
            stateful_metrics=["clean_accuracy", "robust_accuracy"],
            unit_name="attack",
        )

    def update(self, batch):
        """Shows the accuracies after one more attack on a batch."""
        self.done += 1
        outcomes = batch.outcomes
        self.counts[batch.index] = (
            len(outcomes),
            np.sum(outcomes != MISCLASSIFIED),
            np.sum(outcomes == self.attacks),
        )
        images, right, robust = np.sum(list(self.counts.values()), axis=0)
        accuracies = [
            ("clean_accuracy", right / images),
            ("robust_accuracy", robust / images),
        ]
        self.bar.update(self.done, accuracies, finalize=False)

    def close(self):
        """Ends the line."""
        if self.done:
            self.bar.update(self.done, finalize=True)
