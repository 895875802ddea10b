"""The worst and the luckiest images of an evaluation, to be looked at.

The worst ones are right without an attack, and broken by the earliest attack of
those that broke any; among these, the wrong class leads by most logits on what
that attack found. The luckiest ones withstood every attack, by the smallest
lead of the right class on anything that an attack returned.
"""

import dataclasses

import numpy as np

from keras_sat.evaluation.seen import UNKNOWN
from keras_sat.preprocessing.value_range import to_grey_levels

# How many images there are of each kind.
COUNT = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A clean image that may be among those that are shown.

    Args:
        key: tuple. What comes first is shown first.
        row: int. The number of the image in the dataset.
        image: float32 array `(height, width, channels)`.
        label: int. The right class.
        attack: int. The index of the attack that came nearest to another class,
            or got there; -1 if that was none.
        withstood: bool. Whether no attack got there.
    """

    key: tuple
    row: int
    image: np.ndarray
    label: int
    attack: int
    withstood: bool


class Candidates:
    """Chooses the images to be shown while an evaluation goes on.

    No more images are kept than will be shown.

    Args:
        count: int >= 1. How many there shall be of each kind.
    """

    def __init__(self, count=COUNT):
        self._count = count
        self._worst, self._luckiest = [], []
        self._next_row = 0
        self._are_known = True

    def add(self, case):
        """Takes over what is to be shown of a `WorstCase`."""
        outcomes, seen = case.outcomes, case.seen
        first_row = self._next_row
        self._next_row += len(outcomes)
        images = case.batch.images
        is_picture = images.ndim == 4 and images.shape[-1] in (1, 3)
        self._are_known &= is_picture
        self._are_known &= not np.any(seen.at_worst(outcomes) == UNKNOWN)
        if not self._are_known:
            return
        (broken,) = np.nonzero(~case.withstood & (outcomes >= 0))
        leads = seen.leads[outcomes[broken] + 1, broken]
        keys = [outcomes[broken], leads, first_row + broken]
        self._worst = self._first(self._worst, keys, broken, outcomes, case)
        nearest, leads = seen.nearest()
        (left,) = np.nonzero(case.withstood)
        keys = [leads[left], first_row + left]
        self._luckiest = self._first(self._luckiest, keys, left, nearest, case)

    def _first(self, known, keys, indices, attacks, case):
        """Returns the first candidates, of those known and those of a batch.

        Args:
            known: list of `Candidate`.
            keys: list of arrays, as `indices`. What the images are sorted by;
                the last one has their numbers in the dataset.
            indices: int array. The places of the images in the batch.
            attacks: int array `(batch,)`; see `Candidate`.
            case: `WorstCase`.
        """
        both = [*known]
        for place in np.lexsort(keys[::-1])[: self._count]:
            index, *key = (x[place].item() for x in (indices, *keys))
            new = Candidate(
                key=tuple(key),
                row=key[-1],
                # Not a view, which would keep the whole batch in memory.
                image=case.batch.images[index].copy(),
                label=int(case.batch.labels[index]),
                attack=int(attacks[index]),
                withstood=case.withstood[index].item(),
            )
            both.append(new)
        return sorted(both, key=lambda one: one.key)[: self._count]

    def chosen(self):
        """Returns the worst and then the luckiest, a list of `Candidate`.

        It is empty if the images are no pictures, and if an older journal does
        not tell which ones they are.
        """
        if not self._are_known:
            return []
        return [*self._worst, *self._luckiest]


def shown(chosen, search):
    """Returns what is shown of images, which are attacked once more.

    Attacks give each image random numbers of its own, so that they find again
    what they found, up to rounding.

    Args:
        chosen: list of `Candidate`.
        search: `WorstCaseSearch` that is over.

    Returns:
        Dict of arrays with the images in front, or `None` if there are none;
        see `extremes` of `RobustnessReport`.
    """
    if not chosen:
        return None
    images = np.stack([one.image for one in chosen])
    labels = np.array([one.label for one in chosen], "int32")
    rows = np.array([one.row for one in chosen], "int32")
    attacks = np.array([one.attack for one in chosen])
    adversarial = images.copy()
    for i in sorted({*attacks.tolist()} - {-1}):
        mine = attacks == i
        adversarial[mine] = search.attack_again(
            i, images[mine], labels[mine], rows[mine]
        )
    evaluated = search.evaluated
    clean, _ = evaluated.predictions(images, labels)
    predictions, leads = evaluated.predictions(adversarial, labels)
    return {
        "images": to_grey_levels(images, evaluated.value_range),
        "adversarial": to_grey_levels(adversarial, evaluated.value_range),
        "rows": rows,
        "labels": labels,
        "clean_predictions": clean,
        "adversarial_predictions": predictions,
        "leads": leads,
        "attacks": attacks,
        "withstood": np.array([one.withstood for one in chosen]),
    }
