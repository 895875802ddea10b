"""Means with intervals, and differences between arms of the same seeds."""

import dataclasses
import math

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Differences of accuracies that are closer are the same: those of single images
# among a billion differ by more.
ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Args:
        mean: float.
        margin: float. Half of the interval; NaN if there is one value only.
        count: int. How many values there are.
        p: float. That of the mean being 0, or `None` if nobody asked.
    """

    mean: float
    margin: float
    count: int
    p: float | None = None


def interval(values):
    """Estimates a mean, with the interval of Student's t at 95 %.

    Args:
        values: sequence of floats, of one or more.

    Returns:
        `Estimate`.
    """
    values = np.asarray(values, float)
    count = len(values)
    if count == 1:
        return Estimate(float(values[0]), math.nan, 1)
    factor = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)
    margin = factor * values.std(ddof=1) / math.sqrt(count)
    return Estimate(float(values.mean()), float(margin), count)


def difference(values, reference):
    """Estimates how much an arm differs from the reference, pair by pair.

    Args:
        values, reference: dicts from seeds to floats. Seeds that only one of
            them has are left out.

    Returns:
        `Estimate` with the p of the two-sided paired t-test. It is NaN where
        that test can say nothing: with a single pair, or if the differences are
        all the same. `None` without a pair.
    """
    seeds = sorted(set(values) & set(reference))
    if not seeds:
        return None
    differences = np.array([values[s] - reference[s] for s in seeds])
    estimate = interval(differences)
    if not differences.any():
        # Two arms that agree in every pair: nothing speaks for a difference.
        p = 1.0
    elif np.ptp(differences) <= ROUNDING:
        p = math.nan
    else:
        p = float(stats.ttest_1samp(differences, 0).pvalue)
    return dataclasses.replace(estimate, p=p)


def holm(ps):
    """Corrects p-values for their number, by the method of Holm.

    Args:
        ps: sequence of floats. NaN stays NaN, and does not count.

    Returns:
        List of floats, in the same order.

    Reference:
    - Holm, A simple sequentially rejective multiple test procedure, 1979
    """
    order = sorted(
        (i for i, p in enumerate(ps) if not math.isnan(p)), key=ps.__getitem__
    )
    corrected, highest = [math.nan] * len(ps), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * ps[i]))
        corrected[i] = highest
    return corrected
