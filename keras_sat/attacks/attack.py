"""The contract of every attack: what it is given and what it returns."""

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
from keras_sat.attacks.network import Network
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import random_seed
from keras_sat.checks.batches import batch_spec
from keras_sat.predictions.inference import checked_inference
from keras_sat.predictions.inference import input_gradient
from keras_sat.predictions.inference import refuse_missing_gradient
from keras_sat.predictions.labels import canonical
from keras_sat.predictions.labels import check_classes
from keras_sat.predictions.labels import is_right
from keras_sat.preprocessing.value_range import to_float


def check_untargeted(name, attacks):
    """Refuses targeted attacks where the labels are the right classes.

    Args:
        name: str. The argument that holds the attacks, for the error.
        attacks: sequence of `Attack`.

    Raises:
        ValueError: If an attack is targeted.
    """
    targeted = [attack for attack in attacks if attack.targeted]
    if targeted:
        checks.refuse(
            name, "not be targeted: labels are the right classes", targeted[0]
        )


def check_stays_in_ball(name, attacks):
    """Refuses attacks that leave their ball, where robustness is measured.

    Args:
        name: str. The argument that holds the attacks, for the error.
        attacks: sequence of `Attack`.

    Raises:
        ValueError: If an attack may return images that are further away than
            its radius.
    """
    leaving = [attack for attack in attacks if not attack.stays_in_ball]
    if leaving:
        checks.refuse(
            name,
            "stay within `epsilon`, to measure robustness",
            leaving[0],
            "Evaluate with another attack, like `PGD`.",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attack(config.Config, abc.ABC):
    """Base class of attacks, which seek images that a model misclassifies.

    An attack is immutable. It is called as `attack(model, images, labels)`,
    eagerly or in a `tf.function`. It changes no variable of the model, and
    returns float32 images in `value_range`, at most `epsilon` away from the
    clean ones. A subclass implements `perturb`.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`: `4 / 255` is four grey levels whatever the range.
            At most 1 for `norm="linf"`. Defaults to `4 / 255`.
        norm: str. `"linf"` or `"l2"`. Defaults to `"linf"`.
        restarts: int >= 1. Number of independent attempts. For each image the
            worst result is returned: a misclassified image if there is one,
            else the one of the highest loss. Defaults to `1`.
        targeted: bool. Whether `labels` are classes to reach instead of
            classes to leave. Defaults to `False`.
        loss: str or callable `(labels, logits) -> (batch,)`. The loss that the
            attack raises (lowers, if targeted): `"cross_entropy"`, `"margin"`
            or `"dlr"`. Defaults to `"cross_entropy"`.
        value_range: pair of floats. Black and white in the images that the
            model takes. Defaults to `(0.0, 1.0)`.

    Raises:
        TypeError: If a field is of a kind that cannot be used.
        ValueError: If a field is out of range or unknown.
    """

    epsilon: float = 4 / 255
    norm: str = "linf"
    restarts: int = 1
    targeted: bool = False
    loss: str = "cross_entropy"
    value_range: tuple = (0.0, 1.0)

    # False for attacks that may return images outside of the ball.
    stays_in_ball = True
    # True for attacks whose `perturb` makes all the restarts itself, instead of
    # one attempt.
    perturb_restarts = False
    # True if a missing gradient counts as zero; see `lenient`. This is no field
    # of the dataclass: a lenient copy is equal to the attack, and saved alike.
    is_lenient = False
    # True if it counts as zero without a warning.
    is_silent = False

    def __post_init__(self):
        checks.value_range(self.value_range)
        object.__setattr__(self, "value_range", tuple(self.value_range))
        norms.check_radius(self.epsilon, self.norm)
        checks.integer("restarts", self.restarts)
        losses.get(self.loss)

    def __call__(self, model, images, labels, seed=None, scale=None):
        """Attacks a batch of images.

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
                `()`, by which these fields are multiplied for this call; see
                `scaled`. Defaults to none.

        Returns:
            float32 tensor like `images`.

        Raises:
            TypeError: If `model` is no classifier.
            ValueError: If `model` does not return logits or has no gradient.
                Outside a `tf.function`, also if images or labels are not as
                described.
        """
        if scale:
            return self.scaled(**scale)(model, images, labels, seed)
        network = checked_inference(model)
        images, labels, seed = self.arguments(images, labels, seed, model)

        def predict(images):
            logits = network(images)
            check_classes(labels, logits)
            return logits

        adversarial = self.all_restarts(Network(predict), images, labels, seed)
        # Training differentiates the loss in the weights, and must not follow
        # the steps of the attack back to them.
        return tf.stop_gradient(adversarial)

    def all_restarts(self, network, images, labels, seed):
        """Returns the worst of all attempts, for each image.

        Args:
            network: `Network`.
            images, labels, seed: see `perturb`.
        """
        adversarial = self.perturb(network, images, labels, seed)
        if self.restarts > 1 and not self.perturb_restarts:
            adversarial = self._restart(
                network, images, labels, seed, adversarial
            )
        return adversarial

    @abc.abstractmethod
    def perturb(self, predict, images, labels, seed):
        """Makes one attempt on a batch; subclasses implement it.

        Args:
            predict: `Network`, a function from images to logits.
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
        """Returns the attack, or its substitute for few classes.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        del num_classes
        return self

    def resized(self, epsilon, norm=None):
        """Returns the attack within another ball, with steps that fit it.

        Args:
            epsilon: float > 0. Radius, as a fraction of the width of
                `value_range`.
            norm: str. The norm of the new ball. Defaults to that of the
                attack.
        """
        norm = self.norm if norm is None else norm
        return self.replace(epsilon=epsilon, norm=norm)

    def scaled(self, **factors):
        """Returns a copy in which some fields are multiplied by factors.

        Attacks grow in this way during training, inside a compiled step. A copy
        that holds tensors can only be used in the `tf.function` that these
        belong to.

        Args:
            **factors: float, or float tensor `()`, for each field. Fields that
                the attack does not have are ignored.

        Raises:
            ValueError: If `epsilon` is a number out of range; 0 is allowed.
        """
        # Not `replace`, which would check the new values: those of tensors are
        # not known while a graph is traced.
        scaled = copy.copy(self)
        for name, factor in factors.items():
            if hasattr(self, name):
                value = getattr(self, name) * factor
                object.__setattr__(scaled, name, value)
        if not tf.is_tensor(scaled.epsilon):
            norms.check_radius(scaled.epsilon, self.norm, allow_zero=True)
        return scaled

    def lenient(self, silently=False):
        """Returns a copy for which a missing gradient is zero, with a warning.

        It is meant for one of several attacks, another of which may need no
        gradient. The copy is equal to the attack.

        Args:
            silently: bool. Whether there is no warning. Defaults to `False`.
        """
        lenient = copy.copy(self)
        object.__setattr__(lenient, "is_lenient", True)
        object.__setattr__(lenient, "is_silent", silently)
        return lenient

    def gradient(self, function, images):
        """Returns a value and its gradient in the images, for subclasses.

        Args:
            function, images: see `input_gradient`.

        Raises:
            ValueError: If there is no gradient, unless the attack is lenient.
        """
        return input_gradient(function, images, self._without_gradient)

    def loss_gradient(self, network, images, *labels):
        """Returns the number that the attack raises, logits, and gradient.

        Args:
            network: `Network`.
            images: float32 tensor `(batch, ...)`.
            *labels: the labels; with a second one, the classes to reach, for
                the targeted form of the loss.

        Returns:
            float tensor `(batch,)`, logits `(batch, num_classes)`, and the
            gradient, a tensor like `images`.

        Raises:
            ValueError: If there is no gradient, unless the attack is lenient.
        """
        find = losses.get if len(labels) == 1 else losses.get_targeted
        return self.gradient_of(find(self.loss), network, images, *labels)

    def gradient_of(self, loss, network, images, *labels):
        """See `loss_gradient`; for another loss than that of the attack.

        Args:
            loss: function `(*labels, logits) -> (batch,)`.
            network, images, *labels: see `loss_gradient`.
        """
        value, logits, gradient = network.value_and_gradient(
            loss, images, *labels
        )
        if not network.is_differentiable:
            self._without_gradient()
        if self.targeted:
            return -value, logits, -gradient
        return value, logits, gradient

    def _without_gradient(self):
        """Warns that the gradient is missing, or refuses the model."""
        if not self.is_lenient:
            refuse_missing_gradient()
        if self.is_silent:
            return
        logging.warning(
            "%s takes the gradient of the model in its images for zero, as "
            "there is no gradient path from its logits to its images.",
            self.label,
        )

    def arguments(self, images, labels, seed, model):
        """Returns the arguments of a call as tensors, in their one form.

        Args:
            images, labels, seed, model: as in `__call__`. Images and labels are
                checked unless they are symbolic.

        Returns:
            Tuple of images, labels and seed.
        """
        if tf.executing_eagerly():
            batch_spec(model, self.value_range).check(images, labels)
        # In float32 whatever the network computes in: in bfloat16 a step of
        # 1/255 near 1 is less than the distance to the next number.
        images = to_float(images, self.value_range)
        labels = canonical(labels)
        seed = random_seed() if seed is None else tf.cast(seed, tf.int32)
        return images, labels, seed

    @property
    def ball(self):
        """The object that knows the geometry of the norm; see `norms`."""
        return norms.get(self.norm)

    @property
    def width(self):
        """Distance from black to white; the radius is a fraction of it."""
        return self.value_range[1] - self.value_range[0]

    def objective(self, labels, logits):
        """Returns the number that the attack raises, for each image.

        Args:
            labels: as in `__call__`.
            logits: float tensor `(batch, num_classes)`.

        Returns:
            float tensor `(batch,)`: the loss, or minus the loss if targeted.
        """
        value = losses.get(self.loss)(labels, logits)
        return -value if self.targeted else value

    def succeeds(self, labels, logits):
        """Returns which predictions are what the attacker wants.

        Args:
            labels: as in `__call__`.
            logits: float tensor `(batch, num_classes)`.

        Returns:
            bool tensor `(batch,)`.
        """
        hit = is_right(labels, logits)
        return hit if self.targeted else ~hit

    def project(self, images, clean):
        """Projects images onto the ball around the clean ones and the range.

        Args:
            images: float tensor.
            clean: float tensor like `images`. The centres of the balls.

        Returns:
            float tensor like `images`.
        """
        images, clean = map(tf.convert_to_tensor, (images, clean))
        delta = self.ball.project(images - clean, self.epsilon * self.width)
        return tf.clip_by_value(clean + delta, *self.value_range)

    def _restart(self, predict, images, labels, seed, first):
        """Returns the worst of `first` and `restarts - 1` further attempts."""

        def score(adversarial):
            logits = predict(adversarial)
            return (
                self.succeeds(labels, logits),
                self.objective(labels, logits),
            )

        def step(i, state):
            best, best_success, best_value = state
            # Attacks fold small numbers into their seed themselves.
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
