"""FAB: the smallest perturbation that a linearised boundary asks for."""

import dataclasses
import math

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.predictions.inference import attacked
from keras_sat.predictions.labels import class_ids

# Of logits, relative to the largest.
_ROUNDING = 1e-6


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FAB(Attack):
    """Fast adaptive boundary attack: seeks the smallest perturbation.

    Each step projects the iterate and the clean image onto the hyperplane of
    the linearised decision boundary, inside the range, and goes to a mean of
    the two. From a misclassified iterate it goes back towards the clean image,
    and the boundary is linearised there: a step takes one gradient and one
    prediction more. The smallest perturbation met is the result; an image for
    which it exceeds `epsilon` is returned clean.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        steps: int >= 1. Number of steps for each class. Defaults to `100`.
        target_classes: int >= 1. The most likely wrong classes whose boundaries
            are sought, in turn; all of them, if there are fewer. `None` for the
            nearest boundary at each step, which takes one gradient for each
            class. Defaults to `9`.
        alpha_max: float in `[0, 1]`. Largest weight of the clean image in the
            mean. Defaults to `0.1`.
        eta: float >= 1. How far a projection overshoots. Defaults to `1.05`.
        beta: float in `[0, 1]`. Share of the perturbation that a misclassified
            iterate keeps. Defaults to `0.9`.
        restarts: int >= 1. Attempts for each class; all but the first begin at
            a random point within `epsilon / 2`. Defaults to `1`.
        norm, value_range: see `Attack`. `loss` is not used, and `targeted` is
            not available.

    Example:

    ```python
    attack = keras_sat.FAB(epsilon=8 / 255)
    adversarial = attack(model, images, labels)
    nearest, distance = attack.minimal_perturbation(model, images, labels)
    ```

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/1907.02044)
    """

    steps: int = 100
    target_classes: int | None = 9
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    perturb_restarts = True

    def __post_init__(self):
        super().__post_init__()
        checks.integer("steps", self.steps)
        if self.target_classes is not None:
            checks.integer("target_classes", self.target_classes)
        checks.probability("alpha_max", self.alpha_max)
        checks.real("eta", self.eta, least=1)
        checks.probability("beta", self.beta)
        if self.targeted:
            checks.refuse(
                "targeted",
                "be False for FAB",
                self.targeted,
                "Use `target_classes` to seek single boundaries.",
            )

    @property
    def label(self):
        """See `Attack.label`."""
        return "FAB" if self.target_classes is None else "FAB-T"

    def for_classes(self, num_classes):
        """The attack with at most `num_classes - 1` target classes."""
        if self.target_classes is None:
            return self
        return self.replace(
            target_classes=min(self.target_classes, num_classes - 1)
        )

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes all the attempts."""
        radius = self.epsilon * self.width
        nearest, size = self._search(predict, images, labels, seed, radius)
        return where(size <= radius, nearest, images)

    def minimal_perturbation(self, model, images, labels, seed=None):
        """The nearest misclassified images found, however far away.

        Args:
            model, images, labels, seed: as in `__call__`.

        Returns:
            Images, and how far each is from the clean one, `(batch,)`, in units
            of `epsilon`'s: 0 for an image that is misclassified as it is,
            infinite if none was found.
        """
        predict = attacked(model)
        images, labels, seed = self.arguments(images, labels, seed, model)
        nearest, size = self._search(predict, images, labels, seed, 0.0)
        return nearest, size / self.width

    def _search(self, predict, images, labels, seed, enough):
        """The nearest misclassified images, and their distances `(batch,)`.

        An image is left alone once its distance is at most `enough`.
        """
        logits = predict(images)
        is_wrong = self.succeeds(labels, logits)
        size = tf.where(is_wrong, 0.0, float("inf"))
        classes = 1
        targets = None
        if self.target_classes is not None:
            targets = losses.likely_wrong(labels, logits, self.target_classes)
            classes = targets.shape[1]

        def attempt(i, state):
            if targets is None:
                count = logits.shape[-1]
                boundary = self._nearest_boundary(predict, labels, count)
            else:
                target = tf.gather(targets, i // self.restarts, axis=1)
                boundary = self._targeted_boundary(predict, labels, target)
            start = self._start(images, i % self.restarts, fold_in(seed, i))
            return self._approach(
                predict, boundary, images, labels, start, state, enough
            )

        return repeat(
            attempt,
            (images, size),
            classes * self.restarts,
            until=lambda state: tf.reduce_all(state[1] <= enough),
        )

    def _start(self, images, restart, seed):
        """The clean images at first, then random points nearby."""
        if self.restarts == 1:
            return images
        noise = self.ball.random(images, 1.0, seed)
        size = self.epsilon * self.width / 2 / self.ball.size(noise)
        start = tf.clip_by_value(images + noise * size, *self.value_range)
        return tf.where(restart > 0, start, images)

    def _approach(
        self, predict, boundary, images, labels, start, state, enough
    ):
        """One attempt: `steps` steps from `start`."""

        def step(_, state):
            x, nearest, size = state
            x = self._move(x, images, *boundary(x))
            logits = predict(x)
            wrong = self.succeeds(labels, logits)
            distance = tf.reshape(self.ball.size(x - images), [-1])
            better = _clearly_wrong(labels, logits)
            better &= (distance < size) & (size > enough)
            nearest = where(better, x, nearest)
            size = tf.where(better, distance, size)
            back = images + self.beta * (x - images)
            return where(wrong, back, x), nearest, size

        return repeat(
            step,
            (start, *state),
            self.steps,
            until=lambda state: tf.reduce_all(state[2] <= enough),
        )[1:]

    def _move(self, x, images, difference, gradient):
        """A mean of the projections of `x` and of the clean `images`."""
        points = tf.concat([x, images], axis=0)
        gradient = tf.concat([gradient, gradient], axis=0)
        axes = list(range(1, x.shape.rank))
        away = points - tf.concat([x, x], axis=0)
        value = tf.tile(difference, [2]) + tf.reduce_sum(gradient * away, axes)
        delta = to_hyperplane(
            self.ball, points, gradient, value, self.value_range
        )
        near, far = tf.split(tf.maximum(self.ball.size(delta), 1e-8), 2)
        alpha = tf.minimum(near / (near + far), self.alpha_max)
        from_x, from_clean = tf.split(points + self.eta * delta, 2)
        mean = (1 - alpha) * from_x + alpha * from_clean
        return tf.clip_by_value(mean, *self.value_range)

    def _targeted_boundary(self, predict, labels, target):
        """From images to target minus right logit, and its gradient."""

        def value(x):
            return losses.targeted_margin(labels, target, predict(x))

        return lambda x: self.gradient(value, x)

    def _nearest_boundary(self, predict, labels, num_classes):
        """As `_targeted_boundary`, for the class with the nearest boundary."""
        ids = tf.cast(class_ids(labels), tf.int32)

        def boundary(x):
            def step(i, state):
                best_distance, best_difference, best_gradient = state
                target = tf.fill(tf.shape(ids), i)
                towards = self._targeted_boundary(predict, labels, target)
                difference, gradient = towards(x)
                steepest = self.ball.steepest_ascent(gradient)
                axes = list(range(1, x.shape.rank))
                fall = tf.reduce_sum(gradient * steepest, axes)
                distance = tf.abs(difference) / (fall + 1e-12)
                better = (distance < best_distance) & (ids != i)
                return (
                    tf.where(better, distance, best_distance),
                    tf.where(better, difference, best_difference),
                    where(better, gradient, best_gradient),
                )

            state = (
                tf.fill(tf.shape(ids), float("inf")),
                tf.zeros(tf.shape(ids)),
                tf.zeros_like(x),
            )
            return repeat(step, state, num_classes)[1:]

        return boundary


def _clearly_wrong(labels, logits):
    """Which images are misclassified by more than rounding.

    What is found lies near the boundary, and is to be misclassified by the same
    network compiled in another way, too.
    """
    scale = tf.reduce_max(tf.abs(logits), axis=-1)
    return losses.margin(labels, logits) > _ROUNDING * scale


def to_hyperplane(ball, points, gradient, value, value_range):
    """The smallest changes that make linear functions zero inside a range.

    Every pixel moves along the steepest ascent (or descent) until it meets the
    border of the range: the change of a pixel is the smaller of `t` times its
    speed and the room it has. The function is concave in `t`, made of straight
    pieces, so Newton's method from 0 ascends to the root and ends on its piece.

    Args:
        ball: the norm that is smallest.
        points: float tensor `(batch, ...)` in `value_range`.
        gradient: float tensor like `points`. Gradients of the functions.
        value: float tensor `(batch,)`. The functions at the points.
        value_range: pair of floats.

    Returns:
        Tensor like `points`: the changes. Where no point of the range makes the
        function zero, as far as the range allows.
    """
    low, high = value_range
    flat = [-1, math.prod(points.shape[1:])]
    direction = -per_image(tf.sign(value), points) * tf.sign(gradient)
    room = tf.where(direction > 0, high - points, points - low)
    room = tf.reshape(tf.maximum(room, 0.0), flat)
    speed = tf.reshape(tf.abs(ball.steepest_ascent(gradient)), flat)
    slope = tf.reshape(tf.abs(gradient), flat) * speed
    arrival = tf.math.divide_no_nan(room, speed)
    needed = tf.abs(value)[:, tf.newaxis]

    def newton(_, state):
        time, _ = state
        moving = arrival > time
        rate = tf.where(moving, slope, 0.0)
        gained = tf.where(moving, 0.0, slope * arrival)
        rate = tf.reduce_sum(rate, axis=1, keepdims=True)
        gained = tf.reduce_sum(gained, axis=1, keepdims=True)
        # On its last piece, where all have arrived, it stays.
        new = tf.math.divide_no_nan(needed - gained, rate)
        return tf.maximum(time, new), time

    start = tf.zeros_like(needed)
    time, _ = repeat(
        newton,
        (start, start - 1),
        flat[1] + 1,
        # Not "equal", which a NaN never is.
        until=lambda state: ~tf.reduce_any(state[0] > state[1]),
    )
    reachable = tf.reduce_sum(slope * arrival, axis=1, keepdims=True) >= needed
    change = tf.where(reachable, tf.minimum(time * speed, room), room)
    return direction * tf.reshape(change, tf.shape(points))
