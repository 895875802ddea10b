"""The accuracies of two models on the same images."""

import dataclasses

import numpy as np

from keras_sat.evaluation.confidence import difference_interval
from keras_sat.evaluation.confidence import mcnemar


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairedAccuracies:
    """The accuracies of two models on the same images.

    Args:
        both: int. How many images both models classify right.
        first: int. How many only the first one classifies right.
        second: int. How many only the second one does.
        neither: int. How many both classify wrong.
    """

    both: int
    first: int
    second: int
    neither: int

    @classmethod
    def of(cls, first, second):
        """Returns those of two bool arrays of what is right."""
        return cls(
            both=int(np.sum(first & second)),
            first=int(np.sum(first & ~second)),
            second=int(np.sum(~first & second)),
            neither=int(np.sum(~first & ~second)),
        )

    @property
    def num_images(self):
        """Number of images."""
        return self.both + self.first + self.second + self.neither

    @property
    def accuracies(self):
        """The accuracies of the first and of the second model."""
        one, other = self.both + self.first, self.both + self.second
        return one / self.num_images, other / self.num_images

    @property
    def difference(self):
        """The accuracy of the second model minus that of the first one."""
        return (self.second - self.first) / self.num_images

    @property
    def interval(self):
        """95% confidence interval (Newcombe, method 10) of the difference."""
        return difference_interval(
            self.both, self.first, self.second, self.neither
        )

    @property
    def p_value(self):
        """How probable such a difference is by chance (McNemar, exact)."""
        return mcnemar(self.first, self.second)

    def to_dict(self):
        """Returns the counts and what follows from them, for JSON."""
        return dataclasses.asdict(self) | {
            "accuracies": list(self.accuracies),
            "difference": self.difference,
            "interval": list(self.interval),
            "p_value": self.p_value,
        }
