"""Auto-PGD: projected gradient ascent that chooses its own step sizes."""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.ascent import Ascent
from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from keras_sat.attacks.stepwise import StepwiseAttack
from keras_sat.attacks.stepwise import choose

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
        state = _State(
            images=images,
            labels=labels,
            rows=rows,
            targets=targets,
            attempt=tf.zeros_like(rows),
            index=tf.zeros_like(rows),
            ascent=None,
            adversarial=images,
            value=tf.fill(tf.shape(rows), -float("inf")),
            done=self.succeeds(labels, logits),
        )
        return state._replace(ascent=self._new_ascent(state, seed))

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`; a step of algorithm 1 of the paper."""
        value, logits, gradient = self._evaluate(network, state)
        direction = self.ball.steepest_ascent(gradient)
        # A NaN among the logits is no success of the attack.
        success = self.succeeds(state.labels, logits) & ~tf.math.is_nan(value)
        ascent = state.ascent.seen(value, direction, success)
        state = self._judged(state, ascent, success)
        # Of images whose attempt ends here, the index is out of range.
        index = tf.clip_by_value(state.index, 0, self.steps)
        period = tf.gather(self._periods(), index)
        ascent, x, direction = ascent.adapted(direction, period, self.rho)
        ascent = self._move(state, ascent, x, direction)
        return self._begun_anew(
            state._replace(ascent=ascent, index=state.index + 1), shared
        )

    def _judged(self, state, ascent, success):
        """Returns the state with the result of the attempts that end here."""
        last = state.index >= self.steps
        ends = ~state.done & (success | last)
        better = ends & (success | (ascent.best_value > state.value))
        attempt = state.attempt + tf.cast(ends, tf.int32)
        attempts = self.restarts * state.targets.shape[1]
        return state._replace(
            adversarial=where(better, ascent.best, state.adversarial),
            value=tf.where(better, ascent.best_value, state.value),
            attempt=attempt,
            done=state.done | (ends & (success | (attempt >= attempts))),
            # So that the next attempt begins with this step.
            index=tf.where(ends, -1, state.index),
        )

    def _begun_anew(self, state, seed):
        """Returns the state in which images begin their next attempts."""
        anew = ~state.done & (state.index == 0)

        def begun():
            return choose(anew, self._new_ascent(state, seed), state.ascent)

        # Random numbers are only drawn where they are needed.
        ascent = tf.cond(tf.reduce_any(anew), begun, lambda: state.ascent)
        return state._replace(ascent=ascent)

    def _new_ascent(self, state, seed):
        """Returns ascents that begin at random points."""
        seeds = fold_in(of_images(seed, state.rows), state.attempt)
        start = self.start(state.images, seeds)
        return Ascent.begin(start, 2 * self.epsilon * self.width)

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
        x, labels = state.ascent.x, [state.labels]
        if self.target_classes is not None:
            # Images that are done may have counted beyond the last attempt.
            last = self.restarts * state.targets.shape[1] - 1
            target = tf.minimum(state.attempt, last) // self.restarts
            labels.append(tf.gather(state.targets, target, batch_dims=1))

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
        share = per_image(tf.where(state.index > 0, _MOMENTUM, 1.0), x)
        momentum = (1 - share) * (x - ascent.previous)
        new = self.project(x + share * (ahead - x) + momentum, state.images)
        return ascent._replace(x=new, previous=x)


class _State(NamedTuple):
    """The state of the attack.

    Args:
        images, labels, rows: see `StepwiseAttack.begin`.
        targets: int tensor `(batch, count)`. The classes to be pulled at.
        attempt: int tensor `(batch,)`. How many attempts have ended.
        index: int tensor `(batch,)`. How many steps of the present attempt have
            been made.
        ascent: `Ascent`. The present attempt.
        adversarial: images. The worst ones of the attempts that have ended.
        value: float tensor `(batch,)`. Their loss.
        done: bool tensor `(batch,)`. True if the image is broken, or if all
            attempts were made.
    """

    images: tf.Tensor
    labels: tf.Tensor
    rows: tf.Tensor
    targets: tf.Tensor
    attempt: tf.Tensor
    index: tf.Tensor
    ascent: tuple
    adversarial: tf.Tensor
    value: tf.Tensor
    done: tf.Tensor
