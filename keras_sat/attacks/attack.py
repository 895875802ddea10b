"""The contract of every attack, and the loop that attacks are written with."""

import abc
import copy
import dataclasses

import keras
import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import config
from keras_sat.attacks import losses
from keras_sat.attacks import norms
from keras_sat.batch_statistics import STATISTICS
from keras_sat.checks import classifiers
from keras_sat.checks.batches import expected_by

# A power of two, so exact in float32; it keeps the small gradients of a
# float16 network from vanishing before they reach the images.
_GRADIENT_SCALE = 1024.0


def to_float(images, value_range):
    """Images as float32 in `value_range`; uint8 images are scaled to it.

    Args:
        images: uint8 tensor, or float tensor in `value_range`.
        value_range: pair of floats, what black and white are.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        low, high = value_range
        return tf.cast(images, tf.float32) * ((high - low) / 255) + low
    return tf.cast(images, tf.float32)


def inference(model, statistics="moving"):
    """The function from images to float32 logits that an attack sees.

    Keras models are called with `training=False`, and no variable changes.

    Args:
        model: `keras.Model`, or any function from images to logits.
        statistics: str. What batch normalization in a Keras model goes by:
            `"moving"` for its moving statistics, `"batch"` for those of the
            images that it is given. Defaults to `"moving"`.

    Raises:
        TypeError: If it cannot be called, or, when it is, if TensorFlow's
            tensors are not what it takes.
        ValueError: If it takes or returns something else than float images
            and logits.
    """
    classifiers.attackable("model", model)

    def predict(images):
        with classifiers.calling("model", model):
            if isinstance(model, keras.layers.Layer):
                with STATISTICS[statistics](model):
                    logits = model(images, training=False)
            else:
                logits = model(images)
        classifiers.logits("model", logits, images.shape[0])
        return tf.cast(logits, tf.float32)

    return predict


def attacked(model):
    """`inference(model)`, which looks at its first outputs if it runs eagerly.

    Args:
        model: see `inference`.
    """
    predict = inference(model)
    looked_at = []

    def checked(images):
        logits = predict(images)
        if tf.executing_eagerly() and not looked_at:
            classifiers.outputs("model", logits)
            looked_at.append(True)
        return logits

    return checked


def input_gradient(function, images, on_missing=None):
    """Value `(batch,)` of `function`, and its gradient for each image.

    Args:
        function: callable from images to one number for each image; or to a
            tuple that begins with these numbers, whose other tensors are
            given back with them.
        images: float tensor, the first dimension is the batch.
        on_missing: function without arguments. It is called where there is no
            gradient, which is then taken for zero. Defaults to an error.

    Raises:
        ValueError: If the value does not depend on the images, or through
            operations without a gradient only.
    """
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            value = function(images)
            scaled = tf.nest.flatten(value)[0] * _GRADIENT_SCALE
        gradient = tape.gradient(scaled, images)
    except LookupError as error:
        # TensorFlow raises it itself for operations it has no gradient of.
        if isinstance(error, KeyError | IndexError):
            raise
        value, gradient = function(images), None
    if gradient is None:
        (on_missing or _refuse_missing_gradient)()
        return value, tf.zeros_like(images)
    # Of images that are only gathered from, it comes as slices; of a function
    # that calls Python, without a shape.
    gradient = tf.ensure_shape(tf.convert_to_tensor(gradient), images.shape)
    return value, gradient / _GRADIENT_SCALE


def _refuse_missing_gradient():
    checks.refuse(
        "model",
        "be differentiable in its images",
        checks.Described(
            "a model with no gradient path from its logits to its images"
        ),
        "Use a black-box attack.",
    )


def repeat(step, state, steps, until=None):
    """`step(i, state)` applied `steps` times, traced once.

    Args:
        step: callable from `(index, state)` to the next state.
        state: tensor, or nested structure of tensors.
        steps: int. The number of times.
        until: callable from a state to whether to stop there.
            Defaults to never.
    """

    def goes_on(i, state):
        return i < steps if until is None else (i < steps) & ~until(state)

    return tf.while_loop(
        goes_on,
        lambda i, state: (i + 1, step(i, state)),
        (tf.constant(0), state),
        parallel_iterations=1,
        maximum_iterations=steps,
    )[1]


def per_image(values, images):
    """`values` `(batch,)` with dimensions of 1 added, to go with `images`."""
    return tf.reshape(values, [-1] + [1] * (images.shape.rank - 1))


def where(condition, x, y):
    """`x` for the examples where `condition` `(batch,)` is true, else `y`."""
    return tf.where(per_image(condition, x), x, y)


def worst_of(attempt, attempts, images, broken):
    """The best adversarial image of several attempts, for each image.

    An image counts as broken from its first success on: what is returned for
    it does not depend on the other images of the batch, though the attempts
    end when all are broken.

    Args:
        attempt: callable from `(index, broken)` to images, whether each
            succeeds `(batch,)`, and how good it is, `(batch,)`.
        attempts: int >= 1. How many there are.
        images: float tensor. The clean images.
        broken: bool tensor `(batch,)`. The images not to be attacked.

    Returns:
        Tensor like `images`: the first success, else the best one, else, where
        `broken` was true, the clean image.
    """

    def step(i, state):
        best, broken, best_value = state
        new, success, value = attempt(i, broken)
        better = ~broken & (success | (value > best_value))
        return (
            where(better, new, best),
            broken | success,
            tf.where(better, value, best_value),
        )

    state = images, broken, tf.fill(tf.shape(broken), -float("inf"))
    if attempts == 1:
        return step(0, state)[0]
    return repeat(step, state, attempts, until=lambda s: tf.reduce_all(s[1]))[0]


def fold_in(seed, number):
    """A new seed, independent of `seed`, for each int `number`."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def random_seed():
    """A seed from the stream that `keras.utils.set_random_seed` starts."""
    return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)


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
            losses.check_classes(labels, logits)
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
            expected_by(model, self.value_range).check(images, labels)
        images = to_float(images, self.value_range)
        labels = losses.canonical(labels)
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
        predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
        hit = predicted == tf.cast(losses.class_ids(labels), tf.int32)
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
