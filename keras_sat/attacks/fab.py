"""FAB: a search for the smallest perturbation that changes the prediction."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.hyperplanes import to_hyperplane
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.predictions.inference import checked_inference
from keras_sat.predictions.labels import class_ids

# An error of rounding in logits, relative to the largest one.
_ROUNDING = 1e-6


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FAB(Attack):
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
        """Returns the attack with fewer targets, if there are few classes."""
        if self.target_classes is None:
            return self
        return self.replace(
            target_classes=min(self.target_classes, num_classes - 1)
        )

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes all the attempts."""
        radius = self.epsilon * self.width
        best = self._search(predict, images, labels, seed, radius)
        return where(best.size <= radius, best.images, images)

    def minimal_perturbation(self, model, images, labels, seed=None):
        """Returns the nearest misclassified images found, however far away.

        Args:
            model, images, labels, seed: as in `__call__`.

        Returns:
            Images, and their distances `(batch,)` from the clean ones, as
            fractions of the width of `value_range`: 0 for an image that is
            misclassified as it is, infinite if none was found.
        """
        predict = checked_inference(model)
        images, labels, seed = self.arguments(images, labels, seed, model)
        best = self._search(predict, images, labels, seed, 0.0)
        return best.images, best.size / self.width

    def _search(self, predict, images, labels, seed, enough):
        """Returns the `_Nearest` of all attempts.

        Args:
            predict, images, labels, seed: as in `perturb`.
            enough: float. An image is left alone once its distance is at most
                this.
        """
        logits = predict(images)
        is_wrong = self.succeeds(labels, logits)
        start = _Nearest(images, tf.where(is_wrong, 0.0, float("inf")))
        boundaries, count = self._boundaries(predict, labels, logits)

        def attempt(i, best):
            boundary = boundaries(i // self.restarts)
            x = self._start(images, i % self.restarts, fold_in(seed, i))
            return self._approach(
                predict, boundary, images, labels, x, best, enough
            )

        return repeat(
            attempt,
            start,
            count * self.restarts,
            until=lambda best: tf.reduce_all(best.size <= enough),
        )

    def _boundaries(self, predict, labels, logits):
        """Returns the decision boundaries that are sought, and their number.

        They are a function from an index to a function from images to the
        difference of two logits, which is 0 at the boundary, and its gradient.
        """
        if self.target_classes is None:
            nearest = self._nearest_boundary(predict, labels, logits.shape[-1])
            return lambda _: nearest, 1
        targets = losses.likely_wrong(labels, logits, self.target_classes)

        def boundary(i):
            target = tf.gather(targets, i, axis=1)
            return self._targeted_boundary(predict, labels, target)

        return boundary, targets.shape[1]

    def _start(self, images, restart, seed):
        """Returns the clean images at first, then random points nearby."""
        if self.restarts == 1:
            return images
        noise = self.ball.random(images, 1.0, seed)
        size = self.epsilon * self.width / 2 / self.ball.size(noise)
        start = tf.clip_by_value(images + noise * size, *self.value_range)
        return tf.where(restart > 0, start, images)

    def _approach(self, predict, boundary, images, labels, start, best, enough):
        """Makes one attempt of `steps` steps.

        Args:
            predict, images, labels: as in `perturb`.
            boundary: function from images to a difference and its gradient; see
                `_boundaries`.
            start: float tensor like `images`.
            best: `_Nearest` of the attempts before.
            enough: see `_search`.

        Returns:
            `_Nearest` of all attempts so far.
        """

        def step(_, state):
            x, best = state
            x = self._move(x, images, *boundary(x))
            logits = predict(x)
            distance = tf.reshape(self.ball.size(x - images), [-1])
            better = _is_clearly_wrong(labels, logits)
            better &= (distance < best.size) & (best.size > enough)
            best = _Nearest(
                where(better, x, best.images),
                tf.where(better, distance, best.size),
            )
            # The backward step of the paper's algorithm 1.
            back = images + self.beta * (x - images)
            return where(self.succeeds(labels, logits), back, x), best

        return repeat(
            step,
            (start, best),
            self.steps,
            until=lambda state: tf.reduce_all(state[1].size <= enough),
        )[1]

    def _move(self, x, images, difference, gradient):
        """Returns the iterates after the biased gradient step of algorithm 1.

        Args:
            x: float tensor. The iterates.
            images: float tensor. The clean images.
            difference: float tensor `(batch,)`. The linearised function at the
                iterates.
            gradient: float tensor like `x`. Its gradient.
        """
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

    def _targeted_boundary(self, predict, labels, target):
        """Returns the boundary between the right class and a target.

        It is a function from images to the target's logit minus the right one,
        and the gradient of this difference.
        """

        def value(x):
            return losses.targeted_margin(labels, target, predict(x))

        return lambda x: self.gradient(value, x)

    def _nearest_boundary(self, predict, labels, num_classes):
        """Returns the boundary to the class that is nearest to each image.

        It is a function like that of `_targeted_boundary`.
        """
        ids = tf.cast(class_ids(labels), tf.int32)

        def boundary(x):
            def step(i, state):
                nearest, *best = state
                target = tf.fill(tf.shape(ids), i)
                towards = self._targeted_boundary(predict, labels, target)
                difference, gradient = towards(x)
                distance = self._distance(difference, gradient)
                better = (distance < nearest) & (ids != i)
                return (
                    tf.where(better, distance, nearest),
                    tf.where(better, difference, best[0]),
                    where(better, gradient, best[1]),
                )

            state = (
                tf.fill(tf.shape(ids), float("inf")),
                tf.zeros(tf.shape(ids)),
                tf.zeros_like(x),
            )
            return repeat(step, state, num_classes)[1:]

        return boundary

    def _distance(self, difference, gradient):
        """Returns the distance to a linearised boundary, `(batch,)`."""
        steepest = self.ball.steepest_ascent(gradient)
        axes = list(range(1, gradient.shape.rank))
        # This is the dual norm of the gradient.
        fall = tf.reduce_sum(gradient * steepest, axes)
        return tf.abs(difference) / (fall + 1e-12)


class _Nearest(NamedTuple):
    """The nearest misclassified images so far, and their distances."""

    images: tf.Tensor
    size: tf.Tensor


def _is_clearly_wrong(labels, logits):
    """Returns which images are misclassified by more than an error of rounding.

    The images that FAB finds lie near the boundary. They have to be
    misclassified also by the same network compiled in another way.
    """
    scale = tf.reduce_max(tf.abs(logits), axis=-1)
    return losses.margin(labels, logits) > _ROUNDING * scale
