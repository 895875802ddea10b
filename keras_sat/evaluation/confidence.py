"""Confidence intervals of accuracies that were measured on some images."""

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
