"""Reasons to doubt a robust accuracy that small experiments find."""

import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks import losses
from keras_sat.checks import endings
from keras_sat.evaluation import overfitting
from keras_sat.evaluation.confidence import wins_by_chance
from keras_sat.evaluation.explanations import explained

# A smaller share of the images may have been broken by chance.
CHANCE = 0.02
# The usual values of black and white.
VALUE_RANGES = ((0, 255), (0, 1), (-1, 1))
# How much better another of these has to be, and how rarely by chance.
BETTER = 0.05
SIGNIFICANCE = 1e-3


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
        another_value_range(experiments),
        _changing_predictions(experiments),
        _probabilities_as_logits(experiments),
        _zero_gradients(experiments, missed),
        _non_finite_gradients(experiments),
        _not_converged(missed),
        _robust_at_huge_epsilon(experiments),
        _catastrophic_overfitting(experiments, by_steps),
    ]
    return [warning for warning in found if warning is not None]


def another_value_range(experiments):
    """Warns if more images are classified right when they are scaled.

    Args:
        experiments: `Experiments`.

    Returns:
        `Finding` or `None`.
    """
    given = tuple(map(float, experiments.evaluated.value_range))
    others = [r for r in VALUE_RANGES if tuple(map(float, r)) != given]
    rights = {r: experiments.right_in(r) for r in others}
    best = max(others, key=lambda r: np.mean(rights[r]))
    gain = np.mean(rights[best]) - np.mean(experiments.right)
    chance = sign_test(rights[best], experiments.right) * len(others)
    if gain < BETTER or chance > SIGNIFICANCE:
        return None
    return explained(
        "value_range",
        f"Scaled to {best}, {np.mean(rights[best]):.1%} of "
        f"{len(experiments.right)} images are classified right; in "
        f"`value_range`={experiments.evaluated.value_range}, "
        f"{np.mean(experiments.right):.1%}.",
        value_range=best,
    )


def sign_test(one, other):
    """Returns how probable it is that one is so much better by chance alone.

    Only where the two differ, one of them is better: by chance, it is each of
    them with a probability of one half.

    Args:
        one, other: bool arrays `(count,)`. What is right.

    Returns:
        float in `[0, 1]`, of the exact test on one side.
    """
    wins, losses = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return wins_by_chance(wins, wins + losses)


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
        return explained(
            "randomised_predictions",
            f"The logits of the same images differ by up to {noise:.3g}.",
        )
    # The first image in a batch with a copy of itself only. Batch statistics
    # need two images, and other kernels round in another way.
    pair = tf.repeat(experiments.images[:1], 2, axis=0)
    difference = _largest_difference(
        experiments.evaluated.predict(pair)[0], once[0]
    )
    if difference > 2e-2 * scale:
        return explained(
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
        experiments.images[:1].shape,
        experiments.seed,
        *experiments.evaluated.value_range,
    )
    outputs = np.concatenate(
        [experiments.outputs(), experiments.evaluated.predict(noise)]
    )
    if not endings.are_probabilities(outputs):
        return None
    return explained(
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
    return explained("zero_gradients", found)


def _non_finite_gradients(experiments):
    """Warns of gradients that are NaN or infinite on any image."""
    finite = np.isfinite(experiments.gradients(losses.cross_entropy))
    finite &= np.isfinite(experiments.gradients(losses.margin))
    share = np.mean(~finite.all(axis=1))
    if not share:
        return None
    return explained(
        "non_finite_gradients",
        f"The gradient is not finite on {share:.1%} of the images.",
    )


def _not_converged(missed):
    """Warns if a longer attack breaks images; see `_zero_gradients`."""
    if not _is_more_than_chance(missed):
        return None
    return explained(
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
    return explained(
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
    return explained(
        "catastrophic_overfitting", overfitting.words(single, several)
    )


def _is_more_than_chance(mask):
    """Returns true if so many images are true in `mask` that it is no chance.

    One image alone may have a singular gradient or lie at the boundary.
    """
    return np.sum(mask) > 1 and np.mean(mask) > CHANCE
