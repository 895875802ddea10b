"""A batch on its way through the attacks, and what becomes of its images."""

import dataclasses

import numpy as np

from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.seen import Seen


@dataclasses.dataclass(frozen=True, eq=False)
class WorstCase:
    """The outcome of the attacks made so far, for each image of a batch.

    Args:
        batch: `Batch`.
        outcomes: int array `(batch,)`; see `RobustnessReport`.
        adversarial: float32 array like the images: the first misclassified
            image found, or the clean one.
        seconds: float. How long the attacks took.
        seen: `Seen`.
    """

    batch: Batch
    outcomes: np.ndarray
    adversarial: np.ndarray
    seconds: float
    seen: Seen

    @property
    def withstood(self):
        """Which images no attack has broken, bool `(batch,)`."""
        return self.outcomes == self.seen.num_attacks


class OpenBatch:
    """A batch of which some images are still on their way.

    Args:
        batch: `Batch`.
        first_row: int. The number of its first image in the dataset.
        num_attacks: int. How many attacks are made.
    """

    def __init__(self, batch, first_row, num_attacks):
        count = len(batch.labels)
        self.batch, self.first_row = batch, first_row
        self.num_attacks = num_attacks
        self.outcomes = np.full(count, num_attacks)
        self.adversarial = batch.images.copy()
        self.seen = Seen(count, num_attacks)
        # How many attacks each image has passed, and how many of those are in
        # the journal for the whole batch.
        self.passed = np.zeros(count, int)
        self.noted = 0
        self.seconds = 0.0

    @property
    def is_done(self):
        """Which images no attack will change, bool `(batch,)`."""
        return (self.outcomes < self.passed) | (self.passed >= self.num_attacks)

    @property
    def is_broken(self):
        """Which images an attack has broken, bool `(batch,)`."""
        return (0 <= self.outcomes) & (self.outcomes < self.passed)

    @property
    def is_finished(self):
        """True if that is so for all of them."""
        return bool(self.is_done.all())

    @property
    def attacks_passed(self):
        """How many attacks all images of the batch have passed, an int."""
        on_their_way = self.passed[~self.is_done]
        return int(min(on_their_way, default=self.num_attacks))

    def remember(self, i, known):
        """Takes over what a journal has of an attack.

        Args:
            i: int. The index of the attack.
            known: dict, the entry.
        """
        self.outcomes[:] = known["outcomes"]
        self.seconds = known["seconds"]
        self.passed[:] = self.noted = i + 1
        self.seen.remember(i, known)

    def saved(self, with_images):
        """Returns arrays from which `resume` goes on.

        Args:
            with_images: bool. Whether the adversarial images are needed.
        """
        adversarial = self.adversarial if with_images else np.zeros(0)
        arrays = {
            "checksum": np.array(self.batch.checksum),
            "outcomes": self.outcomes,
            "passed": self.passed,
            "noted": np.array(self.noted),
            "seconds": np.array(self.seconds),
            "adversarial": adversarial,
            "predictions": self.seen.predictions,
            "leads": self.seen.leads,
        }
        # They will be written by another thread, while these change.
        return {name: np.array(array) for name, array in arrays.items()}

    def resume(self, saved):
        """Takes over what `saved` returned, unless it is out of date.

        Args:
            saved: dict of arrays.

        Returns:
            bool. False if nothing was taken over: the journal may have results
            of a later time.
        """
        is_same = int(saved["checksum"]) == self.batch.checksum
        if not is_same or int(saved["noted"]) < self.noted:
            return False
        self.outcomes[:] = saved["outcomes"]
        self.passed[:] = saved["passed"]
        self.seconds = float(saved["seconds"])
        if saved["adversarial"].size:
            self.adversarial[:] = saved["adversarial"]
        # Those of an older version are not there.
        if "predictions" in saved:
            self.seen.predictions[:] = saved["predictions"]
            self.seen.leads[:] = saved["leads"]
        return True

    def result_after(self, i):
        """Returns what `remember` takes of an attack.

        Args:
            i: int. The index of the attack, which all images have passed.
        """
        outcomes = np.where(self.outcomes > i, self.num_attacks, self.outcomes)
        result = {"outcomes": outcomes.tolist(), "seconds": self.seconds}
        return result | self.seen.of(i)

    def worst_case(self):
        """Returns the `WorstCase`, once the batch is finished."""
        return WorstCase(
            self.batch,
            self.outcomes,
            self.adversarial,
            self.seconds,
            self.seen,
        )
