"""FAB: a search for the smallest perturbation that changes the prediction."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.hyperplanes import to_hyperplane
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.network import Network
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from keras_sat.attacks.stepwise import StepwiseAttack
from keras_sat.predictions.inference import checked_inference
from keras_sat.predictions.labels import class_ids

# An error of rounding in logits, relative to the largest one.
_ROUNDING = 1e-6


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FAB(StepwiseAttack):
    """Fast adaptive boundary attack: seeks the smallest perturbation.

    Each step projects the iterate and the clean image onto the hyperplane of
    the linearised decision boundary, inside the range, and goes to a mean of
    the two. From a misclassified iterate it goes back towards the clean image,
    and the next step linearises the boundary there. So a step takes one
    gradient and one more prediction. The result is the smallest perturbation
    found; an image for which it exceeds `epsilon` is returned clean.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        steps: int >= 1. Number of steps for each class. Defaults to `100`.
        target_classes: int >= 1. For how many of the most likely wrong classes
            the boundary is sought, in turn; all wrong classes, if there are
            fewer. `None` to seek the nearest boundary at each step, which takes
            one gradient for each class. Defaults to `9`.
        alpha_max: float in `[0, 1]`. Largest weight of the clean image in the
            mean. Defaults to `0.1`.
        eta: float >= 1. Factor by which a step overshoots the boundary.
            Defaults to `1.05`.
        beta: float in `[0, 1]`. Share of the perturbation that a misclassified
            iterate keeps. Defaults to `0.9`.
        restarts: int >= 1. Attempts for each class; all but the first begin at
            a random point within `epsilon / 2`. Defaults to `1`.
        norm, value_range: see `Attack`. `loss` has no effect, and `targeted` is
            not available.

    Raises:
        TypeError, ValueError: See `Attack`.

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
        """Returns the attack with fewer targets, if there are few classes."""
        if self.target_classes is None:
            return self
        return self.replace(
            target_classes=min(self.target_classes, num_classes - 1)
        )

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        targets = self.for_classes(num_classes).target_classes or 1
        return self.restarts * targets * self.steps

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        return self._begin(network, images, labels, rows, self._radius)

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`; a step of algorithm 1 of the paper."""
        return self._step(network, state, shared, self._radius)

    def minimal_perturbation(self, model, images, labels, seed=None):
        """Returns the nearest misclassified images found, however far away.

        Args:
            model, images, labels, seed: as in `__call__`.

        Returns:
            Images, and their distances `(batch,)` from the clean ones, as
            fractions of the width of `value_range`: 0 for an image that is
            misclassified as it is, infinite if none was found.
        """
        network = Network(checked_inference(model))
        images, labels, seed = self.arguments(images, labels, seed, model)
        rows = tf.range(tf.shape(images)[0])
        state = self._begin(network, images, labels, rows, enough=0.0)
        state = repeat(
            lambda _, state: self._step(network, state, seed, enough=0.0),
            state,
            self.restarts * state.targets.shape[1] * self.steps,
            until=lambda state: tf.reduce_all(state.done),
        )
        return state.nearest, state.size / self.width

    @property
    def _radius(self):
        """The radius of the ball in the units of the images."""
        return self.epsilon * self.width

    def _begin(self, network, images, labels, rows, enough):
        """Returns the state before the first step.

        Args:
            network, images, labels, rows: see `StepwiseAttack.begin`.
            enough: float. An image is left alone once its distance is at most
                this.
        """
        logits = network(images)
        if self.target_classes is None:
            # One search, for the nearest of the boundaries to all classes.
            targets = tf.zeros_like(rows)[:, tf.newaxis]
        else:
            targets = losses.likely_wrong(labels, logits, self.target_classes)
        is_wrong = self.succeeds(labels, logits)
        return _State(
            images=images,
            labels=labels,
            rows=rows,
            targets=targets,
            attempt=tf.zeros_like(rows),
            index=tf.zeros_like(rows),
            x=images,
            nearest=images,
            size=tf.where(is_wrong, 0.0, float("inf")),
            adversarial=images,
            done=is_wrong,
        )

    def _step(self, network, state, seed, enough):
        """Returns the state after one step; see `_begin` and `step`."""
        x = self._moved(state, *self._boundary(network, state))
        logits = network(x)
        distance = tf.reshape(self.ball.size(x - state.images), [-1])
        better = _is_clearly_wrong(state.labels, logits) & ~state.done
        better &= distance < state.size
        size = tf.where(better, distance, state.size)
        # The backward step of the paper's algorithm 1.
        back = state.images + self.beta * (x - state.images)
        index = state.index + 1
        ends = index >= self.steps
        attempt = state.attempt + tf.cast(ends & ~state.done, tf.int32)
        last = attempt >= self.restarts * state.targets.shape[1]
        nearest = where(better, x, state.nearest)
        state = state._replace(
            x=where(self.succeeds(state.labels, logits), back, x),
            nearest=nearest,
            size=size,
            adversarial=where(size <= self._radius, nearest, state.images),
            attempt=attempt,
            index=tf.where(ends, 0, index),
            done=state.done | (size <= enough) | last,
        )
        return self._begun_anew(state, ends & ~state.done, seed)

    def _begun_anew(self, state, anew, seed):
        """Returns the state in which images begin their next attempts.

        They begin at the clean images for the first attempt at each class, then
        at random points nearby.

        Args:
            state: `_State`.
            anew: bool tensor `(batch,)`. The images that begin.
            seed: int32 tensor `(2,)`.
        """
        if self.restarts == 1:
            return state._replace(x=where(anew, state.images, state.x))

        def begun():
            seeds = fold_in(of_images(seed, state.rows), state.attempt)
            noise = self.ball.random(state.images, 1.0, seeds)
            size = self._radius / 2 / self.ball.size(noise)
            start = state.images + noise * size
            start = tf.clip_by_value(start, *self.value_range)
            again = state.attempt % self.restarts > 0
            return where(anew, where(again, start, state.images), state.x)

        # Random numbers are only drawn where they are needed.
        x = tf.cond(tf.reduce_any(anew), begun, lambda: state.x)
        return state._replace(x=x)

    def _boundary(self, network, state):
        """Returns a function that is 0 at a decision boundary, linearised.

        Returns:
            float tensor `(batch,)`, the difference of two logits at the
            iterates; and its gradient, a tensor like the images.
        """
        if self.target_classes is None:
            return self._nearest_boundary(network, state)
        # Images that are done may have counted beyond the last attempt.
        last = state.targets.shape[1] - 1
        target = tf.minimum(state.attempt // self.restarts, last)
        target = tf.gather(state.targets, target, batch_dims=1)
        return self._targeted_boundary(network, state, target)

    def _moved(self, state, difference, gradient):
        """Returns the iterates after the biased gradient step of algorithm 1.

        Args:
            state: `_State`.
            difference: float tensor `(batch,)`. The linearised function at the
                iterates.
            gradient: float tensor like the images. Its gradient.
        """
        x, images = state.x, state.images
        # One projection of twice as many points is faster than two.
        points = tf.concat([x, images], axis=0)
        gradient = tf.concat([gradient, gradient], axis=0)
        axes = list(range(1, x.shape.rank))
        away = points - tf.concat([x, x], axis=0)
        value = tf.tile(difference, [2]) + tf.reduce_sum(gradient * away, axes)
        delta = to_hyperplane(
            self.ball, points, gradient, value, self.value_range
        )
        near, far = tf.split(tf.maximum(self.ball.size(delta), 1e-8), 2)
        # The bias towards the clean image: the nearer it is to the boundary,
        # compared with the iterate, the larger is its weight.
        alpha = tf.minimum(near / (near + far), self.alpha_max)
        from_x, from_clean = tf.split(points + self.eta * delta, 2)
        mean = (1 - alpha) * from_x + alpha * from_clean
        return tf.clip_by_value(mean, *self.value_range)

    def _targeted_boundary(self, network, state, target):
        """Returns the boundary between the right class and a target.

        Args:
            network: `Network`.
            state: `_State`.
            target: int tensor `(batch,)`.

        Returns:
            See `_boundary`.
        """
        difference, _, gradient = self.gradient_of(
            losses.targeted_margin, network, state.x, state.labels, target
        )
        return difference, gradient

    def _nearest_boundary(self, network, state):
        """Returns the boundary to the class that is nearest to each image.

        Args:
            network: `Network`.
            state: `_State`.

        Returns:
            See `_boundary`.
        """
        ids = class_ids(state.labels)
        num_classes = network(state.x[:1]).shape[-1]

        def step(i, best):
            nearest, *boundary = best
            target = tf.fill(tf.shape(ids), i)
            new = self._targeted_boundary(network, state, target)
            distance = self._distance(*new)
            better = (distance < nearest) & (ids != i)
            return (
                tf.where(better, distance, nearest),
                tf.where(better, new[0], boundary[0]),
                where(better, new[1], boundary[1]),
            )

        infinite = tf.fill(tf.shape(ids), float("inf"))
        best = infinite, tf.zeros_like(infinite), tf.zeros_like(state.x)
        return repeat(step, best, num_classes)[1:]

    def _distance(self, difference, gradient):
        """Returns the distance to a linearised boundary, `(batch,)`."""
        steepest = self.ball.steepest_ascent(gradient)
        axes = list(range(1, gradient.shape.rank))
        # This is the dual norm of the gradient.
        fall = tf.reduce_sum(gradient * steepest, axes)
        return tf.abs(difference) / (fall + 1e-12)


class _State(NamedTuple):
    """The state of the attack.

    Args:
        images, labels, rows: see `StepwiseAttack.begin`.
        targets: int tensor `(batch, count)`. The classes whose boundaries are
            sought.
        attempt: int tensor `(batch,)`. How many attempts have ended.
        index: int tensor `(batch,)`. How many steps of the present attempt have
            been made.
        x: images. The present iterates.
        nearest: images. The nearest misclassified ones so far.
        size: float tensor `(batch,)`. Their distances.
        adversarial: images. The nearest ones, where they are in the ball.
        done: bool tensor `(batch,)`. True if they are near enough, or if all
            attempts were made.
    """

    images: tf.Tensor
    labels: tf.Tensor
    rows: tf.Tensor
    targets: tf.Tensor
    attempt: tf.Tensor
    index: tf.Tensor
    x: tf.Tensor
    nearest: tf.Tensor
    size: tf.Tensor
    adversarial: tf.Tensor
    done: tf.Tensor


def _is_clearly_wrong(labels, logits):
    """Returns which images are misclassified by more than an error of rounding.

    The images that FAB finds lie near the boundary. They have to be
    misclassified also by the same network compiled in another way.
    """
    scale = tf.reduce_max(tf.abs(logits), axis=-1)
    return losses.margin(labels, logits) > _ROUNDING * scale
