"""The results of all batches of an evaluation, put together."""

import dataclasses

import numpy as np

from keras_sat.evaluation.diagnostics import DIAGNOSED
from keras_sat.evaluation.extremes import Candidates
from keras_sat.evaluation.fingerprint import Fingerprint
from keras_sat.evaluation.seen import UNKNOWN


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """The results of all batches, in the order of the dataset.

    Images are only kept of the first batches, and of those to be shown, so that
    memory does not grow with the dataset.

    Args:
        labels: int32 array `(images,)`. The right classes.
        outcomes: int array `(images,)`; see `WorstCase`.
        clean_predictions: int32 array `(images,)`. The classes that are
            predicted without attacks.
        adversarial_predictions: int32 array `(images,)`; see
            `Seen.at_worst`. `None` if an older journal does not tell.
        excess: float array `(images,)`; see `Batch`.
        fingerprint: str; see `Fingerprint`.
        seconds: float. How long the attacks took.
        sample: list of `Batch`. Those that the diagnostics use.
        chosen: list of `Candidate`. The images that are to be shown.
    """

    labels: np.ndarray
    outcomes: np.ndarray
    clean_predictions: np.ndarray
    adversarial_predictions: np.ndarray | None
    excess: np.ndarray
    fingerprint: str
    seconds: float
    sample: list
    chosen: list


def collect(cases, kept, value_range):
    """Returns the `Results` of all batches, and writes their files.

    Args:
        cases: iterator of `WorstCase`.
        kept: `AdversarialFiles`.
        value_range: pair of floats. Black and white in the images.
    """
    rows, sample, count, seconds = [], [], 0, 0.0
    candidates, fingerprint = Candidates(), Fingerprint(value_range)
    for case in cases:
        kept.write(case)
        batch, seen = case.batch, case.seen
        if count < DIAGNOSED:
            sample.append(batch)
        count += len(batch.labels)
        seconds += case.seconds
        candidates.add(case)
        fingerprint.update(batch.images)
        rows.append(
            {
                "labels": batch.labels,
                "outcomes": case.outcomes,
                "clean_predictions": seen.predictions[0],
                "adversarial_predictions": seen.at_worst(case.outcomes),
                "excess": batch.excess,
            }
        )
    arrays = {
        name: np.concatenate([row[name] for row in rows]) for name in rows[0]
    }
    if np.any(arrays["adversarial_predictions"] == UNKNOWN):
        arrays["adversarial_predictions"] = None
    return Results(
        **arrays,
        fingerprint=fingerprint.text(),
        seconds=seconds,
        sample=sample,
        chosen=candidates.chosen(),
    )
