"""Reasons to doubt a robust accuracy, each found by a small experiment.

Most follow Carlini et al., 2019 (arXiv 1902.06705) and the flags of AutoAttack
(Croce and Hein, 2020, arXiv 2003.01690).
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks import losses
from keras_sat.checks import graphs
from keras_sat.evaluation import overfitting
from keras_sat.evaluation.confidence import images_needed
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.experiments import Experiments
from keras_sat.evaluation.explanations import EXPLANATIONS
from keras_sat.evaluation.report import Finding
from keras_sat.evaluation.report import attack_name

# How many images the experiments and the pictures are made on.
DIAGNOSED = 64
BLACK_BOX = "Square"
# Half of the width that the 95% interval should have, as a share.
HALF_WIDTH = 0.03
# Fewer images than this share of them may have been broken by chance.
CHANCE = 0.02
# Pixels may leave the range by this share of its width through rounding.
ROUNDING = 1e-4


def diagnosed(report, evaluated, attacks, sample, excess):
    """Returns a report with warnings, curves and examples.

    Args:
        report: `RobustnessReport`.
        evaluated: `EvaluatedModel`.
        attacks: sequence of the `Attack`s that were run. Without any, no
            experiments are made.
        sample: list of `Batch`. The first ones, with `DIAGNOSED` images or
            all there are.
        excess: float array `(images,)`; see `Batch`.
    """
    outside = excess > ROUNDING
    warnings = [
        black_box_beats_white_box(report.outcomes, report.attacks),
        few_images(report.robust_accuracy, report.num_images),
        images_out_of_range(excess.max(), int(outside.sum())),
    ]
    curves, examples = {}, None
    if attacks:
        experiments = _experiments(report, evaluated, attacks, sample)
        curves = {
            "epsilon": experiments.accuracy_by_epsilon(),
            "steps": experiments.accuracy_by_steps(),
        }
        warnings += find_warnings(experiments, curves["steps"])
        examples = experiments.examples()
    return dataclasses.replace(
        report,
        warnings=tuple(filter(None, warnings)),
        curves=curves,
        examples=examples,
    )


def _experiments(report, evaluated, attacks, sample):
    """Returns `Experiments` on the first images of an evaluation."""
    images = np.concatenate([batch.images for batch in sample])[:DIAGNOSED]
    count = len(images)
    return Experiments(
        predict=evaluated.predict,
        images=tf.constant(images),
        labels=tf.constant(report.labels[:count]),
        withstood=report.outcomes[:count] == len(report.attacks),
        epsilon=report.epsilon,
        norm=report.norm,
        value_range=evaluated.value_range,
        seed=tf.constant([report.seed % 2**31, 1], tf.int32),
        averaged=any(
            getattr(attack, "expectation_steps", 1) > 1 for attack in attacks
        ),
        # The model may not fit more images into memory than a batch has.
        batch_size=min(len(sample[0].labels), DIAGNOSED),
    )


def find_warnings(experiments, by_steps):
    """Returns all warnings that experiments on a few images give.

    Args:
        experiments: `Experiments`.
        by_steps: dict that `experiments.accuracy_by_steps()` returned.

    Returns:
        List of `Finding`.
    """
    # An attack on the margin that is longer than those of the evaluation.
    longer = experiments.withstands(
        among=experiments.withstood,
        steps=100,
        restarts=2,
        step_size=experiments.epsilon / 10,
    )
    missed = experiments.withstood & ~longer
    found = [
        _changing_predictions(experiments),
        _probabilities_as_logits(experiments),
        _zero_gradients(experiments, missed),
        _non_finite_gradients(experiments),
        _not_converged(missed),
        _robust_at_huge_epsilon(experiments),
        _catastrophic_overfitting(experiments, by_steps),
    ]
    return [warning for warning in found if warning is not None]


def _changing_predictions(experiments):
    """Warns if logits of the same image change: at random, or with its batch.

    Random predictions hide the influence of the batch, so only one of the two
    warnings is given.
    """
    once, again = experiments.outputs(), experiments.outputs()
    scale = float(np.max(np.abs(once)))
    noise = _largest_difference(once, again)
    if noise > 1e-3 * scale:
        if experiments.averaged:
            return None
        return _warning(
            "randomised_predictions",
            f"The logits of the same images differ by up to {noise:.3g}.",
        )
    # The first image in a batch with a copy of itself only. Batch statistics
    # need two images, and other kernels round in another way.
    pair = tf.repeat(experiments.images[:1], 2, axis=0)
    difference = _largest_difference(experiments.predict(pair)[0], once[0])
    if difference > 2e-2 * scale:
        return _warning(
            "batch_statistics",
            f"The logits of an image differ by {difference:.3g} between two "
            "batches.",
        )
    return None


def _largest_difference(one, two):
    """Returns the largest absolute difference of two arrays, a float."""
    # Infinite logits differ by NaN, which is larger than nothing: no warning.
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(one - two)))


def _probabilities_as_logits(experiments):
    """Warns if the outputs are probabilities."""
    # Confident logits may happen to sum to 1 on images, but not on noise.
    noise = tf.random.stateless_uniform(
        experiments.images[:1].shape, experiments.seed, *experiments.value_range
    )
    outputs = np.concatenate(
        [experiments.outputs(), experiments.predict(noise)]
    )
    if not graphs.are_probabilities(outputs):
        return None
    return _warning(
        "probabilities_as_logits", "The outputs sum to 1 for every image."
    )


def _zero_gradients(experiments, missed):
    """Warns of gradients that are 0 where attacks need them.

    The cross-entropy of very confident predictions has a gradient of 0, too.
    This is no fault of the model. It matters only where the attacks of the
    evaluation missed what an attack on the margin finds.

    Args:
        experiments: `Experiments`.
        missed: bool array `(count,)`. The images that a longer attack on the
            margin breaks, unlike the attacks of the evaluation.
    """
    flat, flat_margin = (
        (experiments.gradients(loss) == 0).all(axis=1)
        for loss in (losses.cross_entropy, losses.margin)
    )
    if not _is_more_than_chance(flat_margin | (flat & missed)):
        return None
    found = (
        f"The gradient of the cross-entropy is 0 on {np.mean(flat):.1%} of the "
        f"images, that of the margin on {np.mean(flat_margin):.1%}."
    )
    if not experiments.has_gradient:
        found += " There is no gradient path from the logits to the images."
    return _warning("zero_gradients", found)


def _non_finite_gradients(experiments):
    """Warns of gradients that are NaN or infinite on any image."""
    finite = np.isfinite(experiments.gradients(losses.cross_entropy))
    finite &= np.isfinite(experiments.gradients(losses.margin))
    share = np.mean(~finite.all(axis=1))
    if not share:
        return None
    return _warning(
        "non_finite_gradients",
        f"The gradient is not finite on {share:.1%} of the images.",
    )


def _not_converged(missed):
    """Warns if a longer attack breaks images; see `_zero_gradients`."""
    if not _is_more_than_chance(missed):
        return None
    return _warning(
        "not_converged",
        f"PGD on the margin, with 100 steps and 2 restarts, breaks "
        f"{np.mean(missed):.1%} of the images after all attacks.",
    )


def _robust_at_huge_epsilon(experiments):
    """Warns if images withstand a ball in which each could become grey."""
    # No pixel is further from the middle of the range than half of its width.
    epsilon = 0.5
    if experiments.norm == "l2":
        epsilon *= math.sqrt(math.prod(experiments.images.shape[1:]))
    epsilon = max(epsilon, experiments.epsilon)
    left = experiments.withstands(epsilon=epsilon, steps=50, restarts=2)
    if not _is_more_than_chance(left):
        return None
    return _warning(
        "robust_at_huge_epsilon",
        f"{np.mean(left):.1%} of the images withstand PGD-50 at epsilon "
        f"{epsilon:.3g}.",
    )


def _catastrophic_overfitting(experiments, by_steps):
    """Warns if one step of PGD breaks few images and ten nearly all."""
    single, several = by_steps[1.0], by_steps[10.0]
    clean = float(np.mean(experiments.right))
    if not overfitting.is_catastrophic(clean, single, several):
        return None
    return _warning(
        "catastrophic_overfitting", overfitting.words(single, several)
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
    return _warning(
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
    return _warning(
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
    return _warning(
        "images_out_of_range",
        f"{count} images leave `value_range` by up to {excess:.3g} of its "
        "width.",
    )


def _is_more_than_chance(mask):
    """Returns true if so many images are true in `mask` that it is no chance.

    One image alone may have a singular gradient or lie at the boundary.
    """
    return np.sum(mask) > 1 and np.mean(mask) > CHANCE


def _warning(name, found):
    """Returns the `Finding` of that name, with its explanation."""
    return Finding(name, found, *EXPLANATIONS[name])
