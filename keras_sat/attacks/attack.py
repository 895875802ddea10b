"""The contract of every attack, and the loop that attacks are written with."""

import abc
import copy
import dataclasses

import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import config
from keras_sat.attacks import losses
from keras_sat.attacks import norms
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import random_seed
from keras_sat.checks.batches import batch_spec
from keras_sat.predictions.inference import attacked
from keras_sat.predictions.inference import input_gradient
from keras_sat.predictions.labels import canonical
from keras_sat.predictions.labels import check_classes
from keras_sat.predictions.labels import is_right
from keras_sat.preprocessing.value_range import to_float


def check_untargeted(name, attacks):
    """Refuses attacks that reach for labels, where labels are the right ones.

    Args:
        name: str. The argument.
        attacks: sequence of `Attack`.
    """
    targeted = [attack for attack in attacks if attack.targeted]
    if targeted:
        checks.refuse(
            name, "not be targeted: labels are the right classes", targeted[0]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack(config.Config, abc.ABC):
    """Base class: images within a ball around clean ones that a model fails on.

    An attack is immutable. It is called as `attack(model, images, labels)`,
    eagerly or in a `tf.function`, changes no variable of the model, and returns
    float32 images in `value_range`, at most `epsilon` away from the clean ones.
    A subclass gives `perturb`.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`: `4 / 255` is four grey levels whatever the range.
            At most 1 for `norm="linf"`. Defaults to `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        restarts: int >= 1. Number of independent attempts; for each image the
            worst one is returned: misclassified, then the highest loss.
            Defaults to `1`.
        targeted: bool. Whether `labels` are classes to reach instead of
            classes to leave. Defaults to `False`.
        loss: str or callable `(labels, logits) -> (batch,)`. What the attack
            raises (lowers, if targeted): `"cross_entropy"`, `"margin"` or
            `"dlr"`. Defaults to `"cross_entropy"`.
        value_range: pair of floats. What black and white are in the images
            that the model takes. Defaults to `(0.0, 1.0)`.
    """

    epsilon: float = 4 / 255
    norm: str = "linf"
    restarts: int = 1
    targeted: bool = False
    loss: str = "cross_entropy"
    value_range: tuple = (0.0, 1.0)

    # Whether `perturb` makes all the restarts, not one attempt.
    perturb_restarts = False
    # Whether a missing gradient is taken for zero; see `lenient`.
    is_lenient = False

    def __post_init__(self):
        checks.value_range(self.value_range)
        object.__setattr__(self, "value_range", tuple(self.value_range))
        norms.check_radius(self.epsilon, self.norm)
        checks.integer("restarts", self.restarts)
        losses.get(self.loss)

    def __call__(self, model, images, labels, seed=None, scale=None):
        """Attacks a batch.

        Args:
            model: `keras.Model`, or function, from images in `value_range` to
                logits `(batch, num_classes)`.
            images: float tensor `(batch, ...)` in `value_range`, or uint8.
            labels: int tensor `(batch,)`, or float tensor
                `(batch, num_classes)` of probabilities.
            seed: int tensor `(2,)`. The same seed gives the same images, if
                both runs use XLA or neither does.
                Defaults to one from TensorFlow's global stream.
            scale: dict from `"epsilon"` and `"step_size"` to float tensors
                `()`, factors of these fields for this call; see `scaled`.

        Returns:
            float32 tensor like `images`.

        Raises:
            TypeError: If `model` is no classifier; see `inference`.
            ValueError: If `model`, or, outside a `tf.function`, images or
                labels are not as described.
        """
        if scale:
            return self.scaled(**scale)(model, images, labels, seed)
        network = attacked(model)
        images, labels, seed = self.arguments(images, labels, seed, model)

        def predict(images):
            logits = network(images)
            check_classes(labels, logits)
            return logits

        adversarial = self.perturb(predict, images, labels, seed)
        if self.restarts > 1 and not self.perturb_restarts:
            adversarial = self._restart(
                predict, images, labels, seed, adversarial
            )
        return tf.stop_gradient(adversarial)

    @abc.abstractmethod
    def perturb(self, predict, images, labels, seed):
        """One attempt; subclasses write it.

        Args:
            predict: function from images to logits.
            images: float32 tensor in `value_range`.
            labels: as in `__call__`.
            seed: int32 tensor `(2,)`.

        Returns:
            Tensor like `images`, in the ball and in the range.
        """

    @property
    def label(self):
        """A short name for reports and plots, like `"PGD-10"`."""
        steps = getattr(self, "steps", None)
        return type(self).__name__ + (f"-{steps}" if steps else "")

    def for_classes(self, num_classes):
        """The attack itself, or what stands in for it with so few classes.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        del num_classes
        return self

    def resized(self, epsilon, norm=None):
        """The attack with a ball of another radius, and steps to match.

        Args:
            epsilon: float > 0. Radius, as a fraction of `value_range`.
            norm: str. The norm of the new ball. Defaults to that of the
                attack.
        """
        norm = self.norm if norm is None else norm
        return self.replace(epsilon=epsilon, norm=norm)

    def scaled(self, **factors):
        """A copy in which fields are multiplied, by tensors if need be.

        This is how an attack grows during training, inside a compiled step.
        The result is checked as far as it consists of numbers; with tensors
        in it, it is for the `tf.function` they belong to.

        Args:
            **factors: float, or float tensor `()`, for each field. Those that
                the attack does not have are left out.
        """
        scaled = copy.copy(self)
        for name, factor in factors.items():
            if hasattr(self, name):
                value = getattr(self, name) * factor
                object.__setattr__(scaled, name, value)
        if not tf.is_tensor(scaled.epsilon):
            norms.check_radius(scaled.epsilon, self.norm, allow_zero=True)
        return scaled

    def lenient(self):
        """A copy that takes a missing gradient for zero, with a warning.

        For one of several attacks, of which another may need no gradient. It
        is equal to the attack itself.
        """
        lenient = copy.copy(self)
        object.__setattr__(lenient, "is_lenient", True)
        return lenient

    def gradient(self, function, images):
        """Gives attacks the value and the gradient; see `input_gradient`."""

        def warn():
            logging.warning(
                "%s takes the gradient of the model in its images for zero, as "
                "there is no gradient path from its logits to its images.",
                self.label,
            )

        return input_gradient(
            function, images, warn if self.is_lenient else None
        )

    def arguments(self, images, labels, seed, model):
        """The arguments of a call as tensors, checked if they are concrete."""
        if tf.executing_eagerly():
            batch_spec(model, self.value_range).check(images, labels)
        images = to_float(images, self.value_range)
        labels = canonical(labels)
        seed = random_seed() if seed is None else tf.cast(seed, tf.int32)
        return images, labels, seed

    @property
    def ball(self):
        """The norm object."""
        return norms.get(self.norm)

    @property
    def width(self):
        """Distance from black to white, which the radius is a fraction of."""
        return self.value_range[1] - self.value_range[0]

    def objective(self, labels, logits):
        """What the attack raises, `(batch,)`."""
        value = losses.get(self.loss)(labels, logits)
        return -value if self.targeted else value

    def succeeds(self, labels, logits):
        """Whether each prediction is what the attacker wants, `(batch,)`."""
        hit = is_right(labels, logits)
        return hit if self.targeted else ~hit

    def project(self, images, clean):
        """The images nearest to `images` in the ball and in the range."""
        images, clean = map(tf.convert_to_tensor, (images, clean))
        delta = self.ball.project(images - clean, self.epsilon * self.width)
        return tf.clip_by_value(clean + delta, *self.value_range)

    def _restart(self, predict, images, labels, seed, first):
        """The worst of `first` and `restarts - 1` further attempts."""

        def score(adversarial):
            logits = predict(adversarial)
            return (
                self.succeeds(labels, logits),
                self.objective(labels, logits),
            )

        def step(i, state):
            best, best_success, best_value = state
            new = self.perturb(predict, images, labels, fold_in(seed, 100 + i))
            success, value = score(new)
            better = (success & ~best_success) | (
                (success == best_success) & (value > best_value)
            )
            return (
                where(better, new, best),
                best_success | success,
                tf.where(better, value, best_value),
            )

        state = (first, *score(first))
        return repeat(step, state, self.restarts - 1)[0]
