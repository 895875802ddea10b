"""Reasons to doubt a robust accuracy: those that its outcomes show, and more.

Most follow Carlini et al., 2019 (arXiv 1902.06705) and the flags of AutoAttack
(Croce and Hein, 2020, arXiv 2003.01690).
"""

import dataclasses

import numpy as np

from keras_sat.evaluation.attack_labels import attack_name
from keras_sat.evaluation.confidence import images_needed
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.experiment_findings import another_value_range
from keras_sat.evaluation.experiment_findings import find_warnings
from keras_sat.evaluation.experiments import Experiments
from keras_sat.evaluation.explanations import explained

# How many images the experiments and the pictures are made on.
DIAGNOSED = 64
BLACK_BOX = "Square"
# Half of the width that the 95% interval should have, as a share.
HALF_WIDTH = 0.03
# Pixels may leave the range by this share of its width through rounding.
ROUNDING = 1e-4


def diagnosed(
    report, evaluated, attacks, sample, excess, say=lambda text: None
):
    """Returns a report with warnings, curves and examples.

    Args:
        report: `RobustnessReport`.
        evaluated: `EvaluatedModel`.
        attacks: sequence of the `Attack`s that were run. Without any, only the
            range of the images is tried.
        sample: list of `Batch`. The first ones, with `DIAGNOSED` images or
            all there are.
        excess: float array `(images,)`; see `Batch`.
        say: function that shows a line of text about what is being done.
            Defaults to showing nothing.
    """
    outside = excess > ROUNDING
    warnings = [
        black_box_beats_white_box(report.outcomes, report.attacks),
        few_images(report.robust_accuracy, report.num_images),
        images_out_of_range(excess.max(), int(outside.sum())),
    ]
    curves, examples = {}, None
    experiments = _experiments(report, evaluated, attacks, sample, say)
    if not attacks:
        warnings.append(another_value_range(experiments))
    else:
        curves = {
            "epsilon": experiments.accuracy_by_epsilon(),
            "steps": experiments.accuracy_by_steps(),
        }
        warnings += find_warnings(experiments, curves["steps"])
        examples = experiments.examples()
    # First what may explain the others.
    warnings = sorted(filter(None, warnings), key=_comes_later)
    return dataclasses.replace(
        report,
        warnings=tuple(warnings),
        curves=curves,
        examples=examples,
    )


def _comes_later(finding):
    return finding.name != "value_range"


def _experiments(report, evaluated, attacks, sample, say):
    """Returns `Experiments` on the first images of an evaluation."""
    images = np.concatenate([batch.images for batch in sample])[:DIAGNOSED]
    count = len(images)
    return Experiments(
        evaluated=evaluated,
        images=images,
        labels=report.labels[:count],
        withstood=report.outcomes[:count] == len(report.attacks),
        epsilon=report.epsilon,
        norm=report.norm,
        seed=np.array([report.seed % 2**31, 1], "int32"),
        averaged=any(
            getattr(attack, "expectation_steps", 1) > 1 for attack in attacks
        ),
        say=say,
    )


def black_box_beats_white_box(outcomes, attacks):
    """Warns if the black-box attack broke images that the others did not.

    Args:
        outcomes: int array; see `RobustnessReport`.
        attacks: labels of the attacks, in order.

    Returns:
        `Finding` or `None`.
    """
    black = [attack_name(label) == BLACK_BOX for label in attacks]
    if all(black):
        return None
    # Only what comes after a gradient attack shows what that attack missed.
    first = black.index(False)
    late = [i for i, is_black in enumerate(black) if is_black and i > first]
    broken = np.isin(outcomes, late)
    if np.sum(broken) < 2 or np.mean(broken) < 0.002:
        return None
    return explained(
        "black_box_beats_white_box",
        f"{BLACK_BOX} broke {np.mean(broken):.2%} of the images after the "
        "gradient attacks had failed on them.",
    )


def few_images(robust_accuracy, count):
    """Warns if the 95% interval around the robust accuracy is wide.

    Args:
        robust_accuracy: float in `[0, 1]`.
        count: int >= 1. Number of images.

    Returns:
        `Finding` or `None`.
    """
    low, high = wilson_interval(robust_accuracy, count)
    if high - low <= 2 * HALF_WIDTH:
        return None
    needed = images_needed(robust_accuracy, HALF_WIDTH)
    return explained(
        "few_images",
        f"The 95% interval of {count} images is {100 * (high - low):.1f} "
        f"points wide; {needed} would give {200 * HALF_WIDTH:.0f}.",
    )


def images_out_of_range(excess, count):
    """Warns if images left the range by more than rounding explains.

    Args:
        excess: float >= 0. The largest excess, as a share of the width of the
            range.
        count: int. How many images left the range.

    Returns:
        `Finding` or `None`.
    """
    if not count or excess <= ROUNDING:
        return None
    return explained(
        "images_out_of_range",
        f"{count} images leave `value_range` by up to {excess:.3g} of its "
        "width.",
    )
