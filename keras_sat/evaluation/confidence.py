"""Confidence intervals and tests of accuracies, measured on some images."""

import math

# The quantile of the normal distribution for 95% intervals.
QUANTILE = 1.959964


def wilson_interval(share, count, z=QUANTILE):
    """Returns the Wilson confidence interval of a share that was observed.

    Args:
        share: float in `[0, 1]`. The share that was observed.
        count: int >= 1. Number of observations.
        z: float. Quantile of the normal distribution. Defaults to that of a
            95% interval.

    Returns:
        Pair of floats in `[0, 1]`.

    Reference:
    - [Wilson, 1927](https://doi.org/10.1080/01621459.1927.10502953)
    """
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count)
    spread *= math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def images_needed(share, half_width):
    """Returns how many images narrow the 95% interval to a given width.

    Args:
        share: float in `[0, 1]`. The share that was observed.
        half_width: float in `(0, 0.5)`. Half of the width of the interval.

    Returns:
        int.
    """
    # Half of Wilson's width, squared, is (b t + t^2 / 4) / (1 + t)^2, where b
    # is the variance and t = QUANTILE^2 / count. This is a quadratic equation
    # for t.
    b, w = share * (1 - share), half_width**2
    a = 1 / 4 - w
    t = (math.sqrt((b - 2 * w) ** 2 + 4 * a * w) - (b - 2 * w)) / (2 * a)
    return math.ceil(QUANTILE**2 / t)


def difference_interval(both, first, second, neither, z=QUANTILE):
    """Returns the confidence interval of a difference of paired shares.

    This is method 10 of Newcombe: the Wilson intervals of the two shares, put
    together by the correlation of the pairs.

    Args:
        both: int >= 0. How many observations are true of both.
        first: int >= 0. How many are true of the first one only.
        second: int >= 0. How many are true of the second one only.
        neither: int >= 0. How many are true of neither. The four sum to 1 or
            more.
        z: float. Quantile of the normal distribution. Defaults to that of a
            95% interval.

    Returns:
        Pair of floats in `[-1, 1]`: bounds of the second share minus the first.

    Reference:
    - [Newcombe, 1998](https://pubmed.ncbi.nlm.nih.gov/9839354/), Statistics in
      Medicine 17, pages 2635 to 2650
    """
    count = both + first + second + neither
    one, other = (both + first) / count, (both + second) / count
    one_low, one_high = wilson_interval(one, count, z)
    other_low, other_high = wilson_interval(other, count, z)
    correlation = _correlation(both, first, second, neither)
    below = _hypotenuse(other - other_low, one_high - one, correlation)
    above = _hypotenuse(other_high - other, one - one_low, correlation)
    return other - one - below, other - one + above


def mcnemar(first, second):
    """Returns how probable so unequal a number of differences is by chance.

    Args:
        first: int >= 0. How many pairs speak for the first one.
        second: int >= 0. How many speak for the second one.

    Returns:
        float in `[0, 1]`, of the exact test on two sides.

    Reference:
    - [McNemar, 1947](https://doi.org/10.1007/BF02295996)
    """
    return min(1.0, 2 * wins_by_chance(max(first, second), first + second))


def wins_by_chance(wins, count):
    """Returns the probability of so many wins, or more, in fair games.

    Args:
        wins: int. How many games were won, of `count`.
        count: int >= 0. How many games were played.

    Returns:
        float in `[0, 1]`, without any approximation.
    """
    # Each of these numbers of ways follows from the one before.
    ways, total = 1, 0
    for losses in range(count - wins + 1):
        total += ways
        ways = ways * (count - losses) // (losses + 1)
    return total / 2**count


def _correlation(both, first, second, neither):
    """Returns the correlation of pairs, with Newcombe's correction.

    One that is positive is lessened, as by a correction for continuity.
    """
    count = both + first + second + neither
    products = both * neither - first * second
    if products > 0:
        products = max(products - count / 2, 0)
    sums = (both + first, second + neither, both + second, first + neither)
    scale = math.sqrt(math.prod(sums))
    return products / scale if scale else 0.0


def _hypotenuse(one, other, correlation):
    """Returns the root of a sum of squares, of two that are correlated."""
    square = one**2 - 2 * correlation * one * other + other**2
    return math.sqrt(max(0.0, square))
