"""Reasons to doubt a robust accuracy, each found by a small experiment.

Most follow Carlini et al., 2019 (arXiv 1902.06705) and the flags of AutoAttack
(Croce and Hein, 2020, arXiv 2003.01690).
"""

import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks import losses
from keras_sat.checks import endings
from keras_sat.evaluation import overfitting
from keras_sat.evaluation.experiments import Subject
from keras_sat.evaluation.report import QUANTILE
from keras_sat.evaluation.report import Finding
from keras_sat.evaluation.report import wilson_interval

__all__ = [
    "Subject",
    "black_box_beats_white_box",
    "few_images",
    "find_warnings",
    "images_needed",
    "images_out_of_range",
]

BLACK_BOX = "Square"
# Of the 95% interval.
HALF_WIDTH = 0.03
# Share of images, and of the width of the range, that say nothing.
TOLERANCE, ROUNDING = 0.02, 1e-4

# From each name to what it means and what to do.
TEXTS = {
    "randomised_predictions": (
        "Attacks that do not average over draws follow the gradient of one of "
        "many.",
        "Switch the randomness off, or evaluate with attacks='rand'.",
    ),
    "probabilities_as_logits": (
        "The cross-entropy applies a softmax to probabilities: its gradients "
        "nearly vanish.",
        "Remove the softmax at the end of the model.",
    ),
    "zero_gradients": (
        "Gradient attacks stand still on these images, however weak the model.",
        "Trust black-box attacks only, and look for saturated or "
        "non-differentiable operations; where the margin has gradients, use "
        "attacks on it or on the DLR loss.",
    ),
    "non_finite_gradients": (
        "Gradient attacks lose their way on these images.",
        "Look for overflow, divisions by 0 and roots of 0 in the model; "
        "evaluate it in float32.",
    ),
    "black_box_beats_white_box": (
        "An attack that sees no gradients should find nothing new: they may be "
        "masked.",
        "Use stronger gradient attacks, then Square with more queries and an "
        "attack adapted to the model.",
    ),
    "not_converged": (
        "A longer attack still finds more: the number is too kind.",
        "Use more steps or restarts, or the standard attacks.",
    ),
    "robust_at_huge_epsilon": (
        "In so large a ball every image can become a grey one: the attack "
        "fails, not the perturbation.",
        "Look for masked gradients.",
    ),
    "catastrophic_overfitting": (
        overfitting.MEANING,
        overfitting.FIX,
    ),
    "batch_statistics": (
        "The prediction for an image depends on the images beside it, as if "
        "batch normalization ran in training mode.",
        "Call the model with training=False.",
    ),
    "images_out_of_range": (
        "They are clipped first: the accuracies are not those of the images as "
        "given.",
        "Clip the images where they are made.",
    ),
    "few_images": (
        "Models whose accuracies lie nearer together cannot be told apart.",
        "Evaluate more images before comparing models.",
    ),
}


def find_warnings(subject, curves):
    """Every warning that the experiments on a few images give.

    Args:
        subject: `Subject`.
        curves: dict with `subject.accuracy_by_steps()` as `"steps"`.

    Returns:
        List of `Finding`.
    """
    longer = subject.withstands(
        among=subject.withstood,
        steps=100,
        restarts=2,
        step_size=subject.epsilon / 10,
    )
    fooled = subject.withstood & ~longer
    found = [
        *_unsteady_predictions(subject),
        _probabilities_as_logits(subject),
        _zero_gradients(subject, fooled),
        _non_finite_gradients(subject),
        _not_converged(fooled),
        _robust_at_huge_epsilon(subject),
        _catastrophic_overfitting(subject, curves["steps"]),
    ]
    return [warning for warning in found if warning is not None]


def _unsteady_predictions(subject):
    """Those that change from call to call, else from batch to batch."""
    once, again = subject.outputs(), subject.outputs()
    scale = float(np.max(np.abs(once)))
    with np.errstate(invalid="ignore"):
        noise = float(np.max(np.abs(once - again)))
    if noise > 1e-3 * scale:
        if not subject.averaged:
            yield _warning(
                "randomised_predictions",
                f"The logits of the same images differ by up to {noise:.3g}.",
            )
        return
    # Beside itself only.
    alone = subject.predict(tf.repeat(subject.images[:1], 2, axis=0))[0]
    with np.errstate(invalid="ignore"):
        difference = float(np.max(np.abs(alone - once[0])))
    if difference > 2e-2 * scale:
        yield _warning(
            "batch_statistics",
            f"The logits of an image differ by {difference:.3g} between two "
            "batches.",
        )


def _probabilities_as_logits(subject):
    # On noise as well: confident logits may happen to sum to 1.
    noise = tf.random.stateless_uniform(
        subject.images[:1].shape, subject.seed, *subject.value_range
    )
    outputs = np.concatenate([subject.outputs(), subject.predict(noise)])
    if not endings.are_probabilities(outputs):
        return None
    return _warning(
        "probabilities_as_logits", "The outputs sum to 1 for every image."
    )


def _zero_gradients(subject, fooled):
    """Gradients that are 0 where it matters.

    The cross-entropy of very confident predictions has none either. That is
    no fault of the model, and matters only where the attacks overlooked what
    the margin, which has some, leads to.

    Args:
        subject: `Subject`.
        fooled: bool array `(count,)`. The images that a long attack on the
            margin breaks, unlike the attacks of the evaluation.
    """
    flat, flat_margin = (
        (subject.gradients(loss) == 0).all(axis=1)
        for loss in (losses.cross_entropy, losses.margin)
    )
    if not _is_notable(flat_margin | (flat & fooled)):
        return None
    found = (
        f"The gradient of the cross-entropy is 0 on {np.mean(flat):.1%} of the "
        f"images, that of the margin on {np.mean(flat_margin):.1%}."
    )
    if not subject.has_gradient:
        found += " There is no gradient path from the logits to the images."
    return _warning("zero_gradients", found)


def _non_finite_gradients(subject):
    finite = np.isfinite(subject.gradients(losses.cross_entropy)).all(axis=1)
    finite &= np.isfinite(subject.gradients(losses.margin)).all(axis=1)
    if finite.all():
        return None
    return _warning(
        "non_finite_gradients",
        f"The gradient is not finite on {np.mean(~finite):.1%} of the images.",
    )


def _not_converged(fooled):
    if not _is_notable(fooled):
        return None
    return _warning(
        "not_converged",
        f"PGD on the margin, with 100 steps and 2 restarts, breaks "
        f"{np.mean(fooled):.1%} of the images after all attacks.",
    )


def _robust_at_huge_epsilon(subject):
    """Half of the range: every image can become a grey one."""
    epsilon = 0.5
    if subject.norm == "l2":
        epsilon *= math.sqrt(math.prod(subject.images.shape[1:]))
    epsilon = max(epsilon, subject.epsilon)
    left = subject.withstands(epsilon=epsilon, steps=50, restarts=2)
    if not _is_notable(left):
        return None
    return _warning(
        "robust_at_huge_epsilon",
        f"{np.mean(left):.1%} of the images withstand PGD-50 at epsilon "
        f"{epsilon:.3g}.",
    )


def _catastrophic_overfitting(subject, by_steps):
    single, several = by_steps[1.0], by_steps[10.0]
    clean = float(np.mean(subject.right))
    if overfitting.is_catastrophic(clean, single, several):
        return _warning(
            "catastrophic_overfitting", overfitting.words(single, several)
        )
    return None


def black_box_beats_white_box(outcomes, attacks):
    """Warning if the black-box attack broke images that the others did not.

    Args:
        outcomes: int array; see `RobustnessReport`.
        attacks: labels of the attacks.

    Returns:
        `Finding` or `None`.
    """
    black = [name.split(" #")[0] == BLACK_BOX for name in attacks]
    if all(black):
        return None
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
    """Warning if the interval around the robust accuracy is wide.

    Args:
        robust_accuracy: float in `[0, 1]`.
        count: int >= 1. Number of images.

    Returns:
        `Finding` or `None`.
    """
    low, high = wilson_interval(robust_accuracy, count)
    if high - low <= 2 * HALF_WIDTH:
        return None
    return _warning(
        "few_images",
        f"The 95% interval of {count} images is {100 * (high - low):.1f} "
        f"points wide; {images_needed(robust_accuracy)} would give "
        f"{200 * HALF_WIDTH:.0f}.",
    )


def images_needed(share, half_width=HALF_WIDTH):
    """How many images narrow the 95% interval (Wilson) of a share.

    Args:
        share: float in `[0, 1]`. What is observed.
        half_width: float in `(0, 0.5)`. Half of the width of the interval.
    """
    # Half of Wilson's width, squared, is (b t + t^2 / 4) / (1 + t)^2 with the
    # variance b and t = QUANTILE^2 / count.
    b, w = share * (1 - share), half_width**2
    a = 1 / 4 - w
    t = (math.sqrt((b - 2 * w) ** 2 + 4 * a * w) - (b - 2 * w)) / (2 * a)
    return math.ceil(QUANTILE**2 / t)


def images_out_of_range(excess, count):
    """Warning if images left the range by more than rounding does.

    Args:
        excess: float >= 0. The most, as a fraction of the width of the range.
        count: int. How many images left it.

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


def _is_notable(mask):
    """Whether enough images are meant for it not to be a chance."""
    return np.sum(mask) > 1 and np.mean(mask) > TOLERANCE


def _warning(name, found):
    return Finding(name, found, *TEXTS[name])
