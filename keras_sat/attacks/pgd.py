"""Projected gradient descent, of which FGSM is the single step."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.attempts import Attempts
from keras_sat.attacks.iterates import Iterates
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from keras_sat.attacks.seeds import uniform
from keras_sat.attacks.stepwise import StepwiseAttack


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class PGD(StepwiseAttack):
    """Projected gradient descent on the images.

    Each step moves by `step_size` in the direction in which the linearised loss
    rises most, and then to the nearest point of the ball and the range.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        step_size: float > 0. Length of one step, in the same units. Defaults
            to `1 / 255`.
        steps: int >= 1. Number of gradient steps. Defaults to `10`.
        random_start: bool. Whether to start at a random point of the ball.
            Defaults to `True`.
        clean_start_probability: float in `[0, 1]`. How often a whole batch
            starts at the clean images in spite of `random_start`. The code of
            Smooth Adversarial Training trains with 0.2 and evaluates with 0.
            Defaults to `0.0`.
        best_iterate: bool. Whether to return the iterate of the highest loss,
            the start included, instead of the last one. This takes one more
            forward pass. Defaults to `False`.
        norm, restarts, targeted, loss, value_range: see `Attack`.

    Example:

    ```python
    attack = keras_sat.PGD(epsilon=8 / 255, step_size=2 / 255, steps=20)
    adversarial = attack(model, images, labels)
    ```

    Reference:
    - [Madry et al., 2018](https://arxiv.org/abs/1706.06083)
    """

    step_size: float = 1 / 255
    steps: int = 10
    random_start: bool = True
    clean_start_probability: float = 0.0
    best_iterate: bool = False

    def __post_init__(self):
        super().__post_init__()
        checks.real("step_size", self.step_size, above=0)
        checks.integer("steps", self.steps)
        checks.probability(
            "clean_start_probability", self.clean_start_probability
        )

    def resized(self, epsilon, norm=None):
        """See `Attack.resized`: a step stays the same share of the radius."""
        resized = super().resized(epsilon, norm)
        step_size = self.step_size * epsilon / self.epsilon
        return resized.replace(step_size=step_size)

    # `perturb` makes one attempt, `begin` and `step` make all of them.
    perturb_restarts = False

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes one attempt, of a fixed number of steps.

        Training comes here: a loop without conditions is the fastest one.
        """
        start = self.start(images, seed)
        return self.ascend(predict, images, labels, start)

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        del num_classes
        return self.restarts * (self.steps + 1)

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        state = Attempts.begin(images, labels, rows)
        return state._replace(attempt=self._new_attempt(state, seed))

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`; the last of an attempt only looks.

        The result is that of the first attempt that succeeds.
        """
        attempt, labels = state.attempt, state.labels
        is_last = (attempt.left <= 0) & ~state.done

        def look():
            # The gradient is not needed where all attempts end.
            logits = network(attempt.x)
            value = self.objective(labels, logits)
            return value, logits, tf.zeros_like(attempt.x)

        value, logits, gradient = tf.cond(
            tf.reduce_all(is_last | state.done),
            look,
            lambda: self.loss_gradient(network, attempt.x, labels),
        )
        success = self.succeeds(labels, logits)
        ends = is_last
        if self.best_iterate and self.loss == "margin":
            # The best iterate has a margin like this one or a larger one.
            ends |= success & (value > 0) & ~state.done
        result = attempt.x, value, success
        if self.best_iterate:
            attempt = attempt.seen(value, success)
            result = attempt.best, attempt.best_value, attempt.best_success
        state = state.judged(*result, ends, self.restarts)
        moved = self._moved(attempt.x, gradient, state.images)
        # At random, an iterate may come back and go on to another place.
        may_repeat = network.is_deterministic(attempt.x)
        attempt = attempt.moved(moved, may_repeat, self.best_iterate)
        state = state._replace(attempt=attempt)
        if self.restarts == 1:
            return state
        return state.begun_anew(
            ends & ~state.done, lambda state: self._new_attempt(state, shared)
        )

    def _new_attempt(self, state, seed):
        """Returns attempts that begin at random points, or at the images."""
        seeds = fold_in(of_images(seed, state.rows), state.ended)
        start = self.start(state.images, seeds)
        if self.best_iterate:
            # The start itself may be returned, so it has to lie in the range.
            start = self.project(start, state.images)
        return Iterates.begin(start, self.steps)

    def start(self, images, seed):
        """Returns the images at which the steps begin.

        As in the code of Smooth Adversarial Training, they are not clipped to
        the range.

        Args:
            images: float tensor. The clean images.
            seed: int32 tensor `(2,)`.
        """
        if not self.random_start:
            return images
        noise = self.ball.random(images, self.epsilon * self.width, seed)
        if not self.clean_start_probability:
            return images + noise
        # One draw for the whole batch, as in that code, unless each image has a
        # seed of its own.
        seed = fold_in(seed, 2)
        per_batch = seed.shape.rank == 1
        coin = uniform(0.0 if per_batch else self.ball.size(images), seed)
        return images + noise * tf.cast(
            coin >= self.clean_start_probability, noise.dtype
        )

    def ascend(self, predict, images, labels, start):
        """Makes `steps` steps, and returns the last or the best iterate.

        Args:
            predict, images, labels: as in `perturb`.
            start: float tensor like `images`. Where the steps begin.
        """

        def loss(x):
            return self.objective(labels, predict(x))

        def step(_, x):
            gradient = self.gradient(loss, x)[1]
            return self._moved(x, gradient, images)

        def step_and_compare(_, state):
            x, *best = state
            value, gradient = self.gradient(loss, x)
            best = _higher(x, value, *best)
            return self._moved(x, gradient, images), *best

        if not self.best_iterate:
            return repeat(step, start, self.steps)
        # The start itself may be returned, so it has to lie in the range.
        start = self.project(start, images)
        lowest = tf.fill(tf.shape(images)[:1], -float("inf"))
        x, *best = repeat(step_and_compare, (start, start, lowest), self.steps)
        return _higher(x, loss(x), *best)[0]

    def _moved(self, x, gradient, images):
        """Returns the iterate after a step from `x`."""
        direction = self.ball.steepest_ascent(gradient)
        return self.project(x + self.step_size * self.width * direction, images)


def _higher(x, value, best, best_value):
    """Returns the better of two iterates of each image, and its loss."""
    higher = value > best_value
    return where(higher, x, best), tf.where(higher, value, best_value)


def FGSM(epsilon=4 / 255, **kwargs):  # noqa: N802
    """Returns the fast gradient sign method: a `PGD` of one whole step.

    It starts at the clean images.

    Args:
        epsilon: float > 0. Radius of the ball and length of the step, as a
            fraction of the width of `value_range`. Defaults to `4 / 255`.
        **kwargs: other arguments of `PGD`.

    Returns:
        A `PGD` attack.

    Example:

    ```python
    attack = keras_sat.FGSM(epsilon=8 / 255)
    adversarial = attack(model, images, labels)
    ```

    Reference:
    - [Goodfellow et al., 2015](https://arxiv.org/abs/1412.6572)
    """
    options = {"step_size": epsilon, "random_start": False} | kwargs
    return PGD(epsilon=epsilon, steps=1, **options)
