"""The progress bar of an evaluation."""

import keras
import numpy as np

from keras_sat.evaluation.report import MISCLASSIFIED


class Progress:
    """A progress bar with the clean and robust accuracy so far.

    Args:
        size: int. Number of batches; `None` if it is unknown.
        attacks: int. How many attacks are made on each batch.
        verbose: int. 0 for no progress bar.
    """

    def __init__(self, size, attacks, verbose):
        self.attacks = attacks
        self.done = 0
        # From the index of each batch to its numbers of images, of those that
        # are classified right, and of those that withstood all attacks so far.
        self.counts = {}
        self.bar = keras.utils.Progbar(
            size * attacks if size and attacks else None,
            verbose=verbose,
            stateful_metrics=["clean_accuracy", "robust_accuracy"],
            unit_name="attack",
        )

    def update(self, case):
        """Shows the accuracies after one more attack on a batch.

        Args:
            case: `WorstCase`. The state of the batch.
        """
        self.done += 1
        outcomes = case.outcomes
        self.counts[case.batch.index] = (
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
        """Ends the line of the bar, if one was shown."""
        if self.done:
            self.bar.update(self.done, finalize=True)
