"""The classes that a model predicts for images, and by which lead."""

import numpy as np

# A prediction that was not made, or of which an older file does not tell.
UNKNOWN = -1


class Seen:
    """The predictions for a batch of images: clean, and after each attack.

    Args:
        count: int. Number of images.
        num_attacks: int. How many attacks are made.

    Attributes:
        predictions: int32 array `(1 + num_attacks, count)`. The classes that
            are predicted for the clean images, in the first row, and for what
            each attack returned, in the others; `UNKNOWN` where there was no
            attack, or where an older file does not tell.
        leads: float32 array like `predictions`. How far the right class is
            ahead; see `EvaluatedModel.predictions`. 0 where that is not known.
    """

    def __init__(self, count, num_attacks):
        self.predictions = np.full((1 + num_attacks, count), UNKNOWN, "int32")
        self.leads = np.zeros((1 + num_attacks, count), "float32")

    @property
    def num_attacks(self):
        """How many attacks are made."""
        return len(self.leads) - 1

    def note(self, i, indices, predictions, leads):
        """Notes what is seen in some images.

        Args:
            i: int. The index of the attack, -1 for the clean images.
            indices: int array `(some,)`. Which images these are.
            predictions, leads: arrays `(some,)`.
        """
        self.predictions[i + 1, indices] = predictions
        self.leads[i + 1, indices] = leads

    def of(self, i):
        """Returns what `remember` takes, for an attack, -1 for none."""
        return {
            "predictions": self.predictions[i + 1].tolist(),
            "leads": self.leads[i + 1].tolist(),
        }

    def remember(self, i, known):
        """Takes over what a journal has of an attack; see `of`.

        Returns:
            bool. False if an older version wrote it, which did not tell.
        """
        if "predictions" not in known:
            return False
        self.note(i, slice(None), known["predictions"], known["leads"])
        return True

    def at_worst(self, outcomes):
        """Returns the class that is seen in each image at worst.

        Args:
            outcomes: int array `(count,)`; see `WorstCase`.

        Returns:
            int32 array `(count,)`: that of the first misclassified image found,
            or of the clean one.
        """
        # No attack has broken an image whose outcome is their number.
        row = np.where(outcomes < self.num_attacks, outcomes + 1, 0)
        return self.predictions[row, np.arange(len(row))]

    def nearest(self):
        """Returns where the lead of the right class was smallest.

        Returns:
            int array `(count,)`: the index of an attack, or -1 for the clean
            image; and float32 array `(count,)`, the lead.
        """
        leads = np.where(self.predictions == UNKNOWN, np.inf, self.leads)
        row = np.argmin(leads, axis=0)
        return row - 1, leads[row, np.arange(len(row))]
