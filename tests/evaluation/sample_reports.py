"""A report with something of everything, for tests."""

import numpy as np

from keras_sat.evaluation.report import Finding
from keras_sat.evaluation.report import RobustnessReport

LABELS = np.array([0, 0, 0, 0, 2, 2, 2, 7])
#  0 and 1: the attack; 2: none; -1: wrong without attack.
OUTCOMES = np.array([-1, 0, 1, 2, 2, 0, 0, 2])


def examples(seed=0):
    """Two grey images before and after, as an evaluation gives them."""
    generator = np.random.default_rng(seed)
    images = generator.uniform(0, 1, (2, 8, 8, 1)).astype("float32")
    return {
        "images": images,
        "adversarial": np.clip(images + 0.1, 0, 1),
        "labels": np.array([3, 4], "int32"),
        "clean_predictions": np.array([3, 4]),
        "adversarial_predictions": np.array([3, 5]),
        "value_range": np.array([0.0, 1.0]),
    }


def extremes():
    """A broken image and one that withstood, as an evaluation gives them."""
    generator = np.random.default_rng(2)
    images = generator.integers(20, 200, (2, 6, 5, 3)).astype("uint8")
    return {
        "images": images,
        "adversarial": images + np.uint8(8),
        "rows": np.array([1, 4], "int32"),
        "labels": np.array([0, 2], "int32"),
        "clean_predictions": np.array([0, 2], "int32"),
        "adversarial_predictions": np.array([2, 2], "int32"),
        "leads": np.array([-1.5, 0.25], "float32"),
        "attacks": np.array([0, 1]),
        "withstood": np.array([False, True]),
    }


def full_report(**changes):
    """The report with what version 0.1.0 did not have."""
    return report(
        **{
            "clean_predictions": np.array([1, 0, 0, 0, 2, 2, 2, 7]),
            "adversarial_predictions": np.array([1, 2, 7, 0, 2, 0, 7, 7]),
            "class_names": ("cat", "a|b", "<dog>", "d", "e", "f", "g", "h"),
            "fingerprint": "0123456789abcdef" * 4,
            "extremes": extremes(),
        }
        | changes
    )


def report(**changes):
    """A report of eight images and two attacks."""
    return RobustnessReport(
        **{
            "labels": LABELS,
            "outcomes": OUTCOMES,
            "attacks": ("APGD-CE", "Square"),
            "epsilon": 8 / 255,
            "norm": "linf",
            "seed": 3,
            "settings": {"APGD-CE": {"value_range": (0.0, 1.0), "rho": 0.75}},
            "versions": {"keras_sat": "0.1", "keras": "3.15"},
            "warnings": (Finding("few", "8 images.", "Wide.", "Use more."),),
            "curves": {
                "epsilon": {0.0: 0.875, 8 / 255: 0.375, 0.1 + 0.2: 0.0},
                "steps": {1.0: 0.6, 10.0: 0.4},
            },
            "seconds": 12.34,
            "examples": examples(),
        }
        | changes
    )
