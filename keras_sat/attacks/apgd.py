"""Auto-PGD: projected gradient ascent that chooses its own step sizes."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.ascent import Ascent
from keras_sat.attacks.attempts import Attempts
from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from keras_sat.attacks.stepwise import StepwiseAttack

# The weight of a step; the step before it has the rest. `alpha` of the paper.
_MOMENTUM = 0.75
# From the names of losses to those in `label`.
_LABELS = {"cross_entropy": "CE", "dlr": "DLR"}


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class APGD(StepwiseAttack):
    """Auto-PGD: gradient ascent with momentum that adapts its step size.

    The step size begins at `2 * epsilon`. There are checkpoints, ever closer to
    each other. At a checkpoint the step size of an image is halved, and the
    image goes back to its best iterate, if the loss rose in less than `rho` of
    the steps since the last checkpoint, or if neither the step size nor the
    best loss has changed since. An image that is misclassified is returned as
    it is. For all others, the result is the first misclassified iterate, or
    else the iterate of the highest loss.

    With `target_classes`, the attack pulls towards each of the most likely
    wrong classes in turn, with `steps` steps each, on the images that are not
    broken yet. With `loss="dlr"` this is the "APGD-T" of AutoAttack.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        steps: int >= 1. Number of gradient steps. Defaults to `100`.
        rho: float in `[0, 1]`. Share of the steps that have to raise the loss.
            Defaults to `0.75`.
        loss: str or callable. The loss that is raised: `"cross_entropy"`,
            `"margin"`, or `"dlr"`, which needs 3 classes, and 4 with
            `target_classes`. Defaults to `"cross_entropy"`.
        expectation_steps: int >= 1. Over how many predictions the gradient of
            each step is averaged, for models that predict at random. Defaults
            to `1`.
        target_classes: int >= 1. How many wrong classes to pull towards; all
            wrong classes, if there are fewer. `None` to push away from the
            right class instead. Defaults to `None`.
        norm, restarts, targeted, value_range: see `Attack`.

    Raises:
        TypeError, ValueError: See `Attack`.

    Example:

    ```python
    attack = keras_sat.APGD(epsilon=8 / 255, loss="dlr", target_classes=9)
    adversarial = attack(model, images, labels)
    ```

    Reference:
    - [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
    """

    steps: int = 100
    rho: float = 0.75
    expectation_steps: int = 1
    target_classes: int | None = None

    def __post_init__(self):
        super().__post_init__()
        checks.integer("steps", self.steps)
        checks.probability("rho", self.rho)
        checks.integer("expectation_steps", self.expectation_steps)
        if self.target_classes is None:
            return
        checks.integer("target_classes", self.target_classes)
        losses.get_targeted(self.loss)
        if self.targeted:
            checks.refuse(
                "target_classes",
                "be None if `targeted`, as `labels` are the target then",
                self.target_classes,
            )

    @property
    def label(self):
        """See `Attack.label`."""
        loss = self.loss
        if callable(loss):
            loss = getattr(loss, "__name__", type(loss).__name__)
        loss = _LABELS.get(loss, loss)
        if self.target_classes is None:
            return f"APGD-{loss}"
        return "APGD-T" if loss == "DLR" else f"APGD-T-{loss}"

    def for_classes(self, num_classes):
        """Returns the attack with a loss and targets for a number of classes.

        The DLR loss takes the place of the targeted one if there are 3 classes,
        and the margin, which is its numerator, if there are 2.

        Args:
            num_classes: int >= 2. How many classes the model tells apart.
        """
        loss, targets = self.loss, self.target_classes
        if targets is not None:
            targets = min(targets, num_classes - 1)
        if loss == "dlr" and num_classes < 4:
            targets = None
        if loss == "dlr" and num_classes < 3:
            loss = "margin"
        return self.replace(loss=loss, target_classes=targets)

    def checkpoints(self):
        """Returns after how many steps the step size may be halved, as ints."""
        # The numbers of the paper, section 3: the first period is 0.22 of the
        # steps, each other one is shorter by 0.03, but not less than 0.06.
        period = max(int(0.22 * self.steps), 1)
        shortening = max(int(0.03 * self.steps), 1)
        shortest = max(int(0.06 * self.steps), 1)
        checkpoints, position = [], period
        while position <= self.steps:
            checkpoints.append(position)
            period = max(period - shortening, shortest)
            position += period
        return checkpoints

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        targets = self.for_classes(num_classes).target_classes or 1
        # One evaluation more than steps, so that the last iterate is seen, too.
        return self.restarts * targets * (self.steps + 1)

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        logits = network(images)
        if self.target_classes is None:
            targets = tf.zeros_like(rows)[:, tf.newaxis]
        else:
            targets = losses.likely_wrong(labels, logits, self.target_classes)
        state = Attempts.begin(images, labels, rows)
        done = self.succeeds(labels, logits)
        attempt = self._new_attempt(state, seed, targets)
        return state._replace(attempt=attempt, done=done)

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`; a step of algorithm 1 of the paper."""
        value, logits, gradient = self._evaluate(network, state)
        direction = self.ball.steepest_ascent(gradient)
        # A NaN among the logits is no success of the attack.
        success = self.succeeds(state.labels, logits) & ~tf.math.is_nan(value)
        targets, index, ascent = state.attempt
        ascent = ascent.seen(value, direction, success)
        ends = ~state.done & (success | (index >= self.steps))
        count = self.restarts * targets.shape[1]
        result = ascent.best, ascent.best_value, success
        state = state.judged(*result, ends, count)
        # Images that are done may have counted further.
        period = tf.gather(self._periods(), tf.minimum(index, self.steps))
        ascent, x, direction = ascent.adapted(direction, period, self.rho)
        ascent = self._move(state, ascent, x, direction)
        state = state._replace(attempt=_Attempt(targets, index + 1, ascent))
        return state.begun_anew(
            ends & ~state.done,
            lambda state: self._new_attempt(state, shared, targets),
        )

    def _new_attempt(self, state, seed, targets):
        """Returns attempts that begin at random points."""
        seeds = fold_in(of_images(seed, state.rows), state.ended)
        start = self.start(state.images, seeds)
        ascent = Ascent.begin(start, 2 * self.epsilon * self.width)
        return _Attempt(targets, tf.zeros_like(state.rows), ascent)

    def start(self, images, seed):
        """Returns random points on the border of the ball, in the range.

        Args:
            images: float tensor. The clean images.
            seed: int32 tensor `(2,)`.
        """
        noise = self.ball.random(images, 1.0, seed)
        size = self.epsilon * self.width / self.ball.size(noise)
        return tf.clip_by_value(images + noise * size, *self.value_range)

    def _periods(self):
        """Returns the number of steps since the last checkpoint, at each one.

        They are a tensor `(steps + 1,)` that is 0 between the checkpoints: the
        loop is traced once and has to look them up.
        """
        periods = np.zeros(self.steps + 1, "int32")
        checkpoints = self.checkpoints()
        periods[checkpoints] = np.diff(checkpoints, prepend=0)
        return tf.constant(periods)

    def _evaluate(self, network, state):
        """Returns loss, logits and gradient, averaged over predictions."""
        x, labels = state.attempt.ascent.x, [state.labels]
        if self.target_classes is not None:
            targets = state.attempt.targets
            # Images that are done may have counted beyond the last attempt.
            last = targets.shape[1] - 1
            number = tf.minimum(state.ended // self.restarts, last)
            labels.append(tf.gather(targets, number, batch_dims=1))

        def once():
            return self.loss_gradient(network, x, *labels)

        if self.expectation_steps == 1:
            return once()

        def add(_, sums):
            return tuple(a + b for a, b in zip(sums, once(), strict=True))

        sums = repeat(add, once(), self.expectation_steps - 1)
        return tuple(a / self.expectation_steps for a in sums)

    def _move(self, state, ascent, x, direction):
        """Returns the ascent after a step with momentum from `x`."""
        ahead = x + per_image(ascent.step, x) * direction
        ahead = self.project(ahead, state.images)
        # There is no last step before the first one.
        index = state.attempt.index
        share = per_image(tf.where(index > 0, _MOMENTUM, 1.0), x)
        momentum = (1 - share) * (x - ascent.previous)
        new = self.project(x + share * (ahead - x) + momentum, state.images)
        return ascent._replace(x=new, previous=x)


class _Attempt(NamedTuple):
    """The state of an attempt.

    Args:
        targets: int tensor `(batch, count)`. The classes to be pulled at, one
            after the other.
        index: int tensor `(batch,)`. How many steps have been made.
        ascent: `Ascent`.
    """

    targets: tf.Tensor
    index: tf.Tensor
    ascent: Ascent
