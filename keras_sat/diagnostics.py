"""Reasons to doubt a robust accuracy, each found by a small experiment.

Most follow Carlini et al., 2019 (arXiv 1902.06705) and the flags of AutoAttack
(Croce and Hein, 2020, arXiv 2003.01690).
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks import losses
from keras_sat.attacks.attack import input_gradient
from keras_sat.report import MISCLASSIFIED
from keras_sat.report import Warning
from keras_sat.report import wilson_interval

RELATIVE_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = (1, 2, 5, 10, 20, 50)
BLACK_BOX = ("Square",)
HALF_WIDTH = 0.03
TOLERANCE = 0.02

TEXTS = {
    "randomised_predictions": (
        "The attacks average over nothing, so they attack one draw of many.",
        "Switch the randomness off, or evaluate with attacks='rand'.",
    ),
    "probabilities_as_logits": (
        "The softmax of probabilities is flat: gradients of the cross-entropy "
        "nearly vanish.",
        "Remove the softmax at the end of the model.",
    ),
    "zero_gradients": (
        "Gradient attacks stand still on these images, however weak the model.",
        "Trust only the black-box attack, and look for saturated or "
        "non-differentiable operations.",
    ),
    "non_finite_gradients": (
        "Gradient attacks lose their way on these images.",
        "Look for overflow in the model; evaluate it in float32.",
    ),
    "black_box_beats_white_box": (
        "An attack that sees no gradients should find nothing new: the "
        "gradients are masked.",
        "Run Square with more queries, and an attack adapted to the model.",
    ),
    "not_converged": (
        "A longer attack still finds more: the number is too kind.",
        "Use more steps or restarts, or the standard attacks.",
    ),
    "robust_at_huge_epsilon": (
        "In so large a ball every image can become any other: the attack "
        "fails, not the perturbation.",
        "Look for masked gradients.",
    ),
    "catastrophic_overfitting": (
        "The model learned to fool the single-step attack of its training.",
        "Train with more steps, a smaller step, or stop earlier.",
    ),
    "batch_statistics": (
        "The prediction of an image depends on the images beside it: batch "
        "normalization runs in training mode.",
        "Call the model with training=False.",
    ),
    "images_out_of_range": (
        "The attack moves such pixels into the range, beyond the ball.",
        "Clip the images where they are made.",
    ),
    "few_images": (
        f"The 95% interval is wider than +-{100 * HALF_WIDTH:.0f} points.",
        "Evaluate more images before comparing models.",
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A model and the few images that the experiments use.

    Args:
        predict: function from images to float32 logits.
        images: float32 tensor `(count, ...)` in `value_range`.
        labels: int32 tensor `(count,)`.
        withstood: bool array `(count,)`. Which images no attack broke.
        epsilon: float > 0. Radius of the attacks, as a fraction of the range.
        norm: str. `"linf"` or `"l2"`.
        value_range: pair of floats.
        seed: int32 tensor `(2,)`.
    """

    predict: object
    images: tf.Tensor
    labels: tf.Tensor
    withstood: np.ndarray
    epsilon: float
    norm: str
    value_range: tuple
    seed: tf.Tensor

    def withstands(self, **options):
        """Which images PGD does not break, bool `(count,)`."""
        options = {
            "epsilon": self.epsilon,
            "norm": self.norm,
            "value_range": self.value_range,
        } | options
        steps = options.setdefault("steps", 20)
        options.setdefault("step_size", 2.5 * options["epsilon"] / steps)
        return _attacked(PGD(**options), self)

    def accuracy_by_epsilon(self):
        """Accuracy after PGD-20, by radius; at 0 without attack."""
        right = tf.argmax(self.predict(self.images), -1, tf.int32)
        curve = {0.0: float(np.mean(right == self.labels))}
        for factor in RELATIVE_EPSILONS:
            epsilon = factor * self.epsilon
            if self.norm == "linf" and epsilon > 1:
                break
            curve[epsilon] = float(np.mean(self.withstands(epsilon=epsilon)))
        return curve

    def accuracy_by_steps(self):
        """Accuracy after PGD, by number of steps."""
        return {
            float(steps): float(np.mean(self.withstands(steps=steps)))
            for steps in STEPS
        }


def _attacked(attack, subject):
    adversarial = attack(
        subject.predict, subject.images, subject.labels, subject.seed
    )
    predicted = tf.argmax(subject.predict(adversarial), -1, tf.int32)
    return np.array(predicted == subject.labels)


def _warning(name, found):
    return Warning(name, found, *TEXTS[name])


def find_warnings(subject, curves):
    """Every warning that the experiments on a few images give.

    Args:
        subject: `Subject`.
        curves: dict with `subject.accuracy_by_steps()` as `"steps"`.

    Returns:
        List of `Warning`.
    """
    found = [
        _randomised_predictions(subject),
        _probabilities_as_logits(subject),
        *_bad_gradients(subject),
        _not_converged(subject),
        _robust_at_huge_epsilon(subject),
        _catastrophic_overfitting(curves["steps"]),
        _batch_statistics(subject),
    ]
    return [warning for warning in found if warning is not None]


def _randomised_predictions(subject):
    one, two = (subject.predict(subject.images) for _ in range(2))
    spread = float(tf.reduce_max(tf.abs(one)))
    difference = float(tf.reduce_max(tf.abs(one - two)))
    if difference > 1e-3 * max(spread, 1e-12):
        return _warning(
            "randomised_predictions",
            f"The same images gave logits that differ by {difference:.3g}.",
        )
    return None


def _probabilities_as_logits(subject):
    outputs = subject.predict(subject.images)
    sums = tf.reduce_sum(outputs, axis=-1)
    if np.allclose(sums, 1, atol=1e-3) and np.min(outputs) >= 0:
        return _warning(
            "probabilities_as_logits", "The outputs sum to 1 for every image."
        )
    return None


def _bad_gradients(subject):
    def loss(images):
        logits = subject.predict(images)
        return losses.cross_entropy(subject.labels, logits)

    gradient = input_gradient(loss, subject.images)[1]
    gradient = np.reshape(gradient, (len(gradient), -1))
    finite = np.isfinite(gradient).all(axis=1)
    zero = (gradient == 0).all(axis=1)
    warnings = []
    if zero.any():
        found = f"{np.mean(zero):.1%} of the images have a gradient of zero."
        warnings.append(_warning("zero_gradients", found))
    if not finite.all():
        found = f"{np.mean(~finite):.1%} of the images have no finite gradient."
        warnings.append(_warning("non_finite_gradients", found))
    return warnings


def _not_converged(subject):
    longer = subject.withstands(
        steps=100,
        restarts=2,
        loss="margin",
        step_size=subject.epsilon / 10,
    )
    rest = np.mean(longer & subject.withstood)
    fall = np.mean(subject.withstood) - rest
    if fall > TOLERANCE:
        return _warning(
            "not_converged",
            f"PGD with 100 steps and 2 restarts takes {100 * fall:.1f} more "
            "points.",
        )
    return None


def _robust_at_huge_epsilon(subject):
    """Half of the range: every image can become a grey one."""
    size = math.prod(subject.images.shape[1:])
    epsilon = 0.5 if subject.norm == "linf" else 0.5 * math.sqrt(size)
    left = np.mean(subject.withstands(epsilon=epsilon, steps=50))
    if left > TOLERANCE:
        return _warning(
            "robust_at_huge_epsilon",
            f"{left:.1%} of the images withstand PGD-50 at epsilon "
            f"{epsilon:.3g}.",
        )
    return None


def _catastrophic_overfitting(by_steps):
    single, several = by_steps[1.0], by_steps[10.0]
    if single > 0.2 and several < 0.5 * single:
        return _warning(
            "catastrophic_overfitting",
            f"{single:.1%} accuracy after one step, {several:.1%} after ten.",
        )
    return None


def _batch_statistics(subject):
    together = subject.predict(subject.images)[:1]
    # Beside itself only, so that the batch keeps its shape.
    alone = subject.predict(tf.repeat(subject.images[:1], 2, axis=0))[:1]
    again = subject.predict(subject.images)[:1]
    difference = float(tf.reduce_max(tf.abs(together - alone)))
    noise = float(tf.reduce_max(tf.abs(together - again)))
    scale = float(tf.reduce_max(tf.abs(together)))
    if difference > 2 * noise + 1e-2 * scale:
        return _warning(
            "batch_statistics",
            f"The logits of one image differ by {difference:.3g} between two "
            "batches.",
        )
    return None


def black_box_beats_white_box(outcomes, attacks):
    """Warning if the black-box attack broke images that the others did not.

    Args:
        outcomes: int array; see `RobustnessReport`.
        attacks: labels of the attacks.

    Returns:
        `Warning` or `None`.
    """
    black = [i for i, name in enumerate(attacks) if name in BLACK_BOX]
    if not any(i for i in black):
        return None
    share = np.mean(np.isin(outcomes, [i for i in black if i > 0]))
    if share > 0.002 and share * len(outcomes) >= 2:
        return _warning(
            "black_box_beats_white_box",
            f"Square broke {share:.2%} of the images after the gradient "
            "attacks had failed on them.",
        )
    return None


def few_images(robust_accuracy, count):
    """Warning if the interval around the robust accuracy is wide."""
    low, high = wilson_interval(robust_accuracy, count)
    if high - low <= 2 * HALF_WIDTH:
        return None
    needed = math.ceil(
        1.96**2
        * max(robust_accuracy * (1 - robust_accuracy), 0.01)
        / HALF_WIDTH**2
    )
    return _warning(
        "few_images",
        f"{count} images; about {needed} are needed for +-"
        f"{100 * HALF_WIDTH:.0f} points.",
    )


def images_out_of_range(excess, count):
    """Warning if images left the range by as much as rounding does not."""
    if not count:
        return None
    return _warning(
        "images_out_of_range",
        f"{count} images leave `value_range` by up to {excess:.3g}.",
    )


def is_misclassified(outcomes):
    """Which outcomes mean that the clean image was not classified right."""
    return outcomes == MISCLASSIFIED
