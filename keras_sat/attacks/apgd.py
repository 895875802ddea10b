"""Auto-PGD: projected gradient ascent that chooses its own step sizes."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.ascent import Ascent
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.loops import per_image
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import worst_of
from keras_sat.attacks.seeds import fold_in

# The weight of a step; the step before it has the rest. `alpha` of the paper.
_MOMENTUM = 0.75
# From the names of losses to those in `label`.
_LABELS = {"cross_entropy": "CE", "dlr": "DLR"}


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class APGD(Attack):
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

    perturb_restarts = True

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

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes all the attempts."""
        logits = predict(images)
        broken = self.succeeds(labels, logits)
        targets = None
        if self.target_classes is not None:
            targets = losses.likely_wrong(labels, logits, self.target_classes)

        def attempt(i, broken):
            def value(x):
                logits = predict(x)
                if targets is None:
                    return self.objective(labels, logits), logits
                target = tf.gather(targets, i // self.restarts, axis=1)
                loss = losses.get_targeted(self.loss)
                return loss(labels, target, logits), logits

            start = self.start(images, fold_in(seed, i))
            return self.climb(value, images, labels, start, broken)

        attempts = self.restarts * (1 if targets is None else targets.shape[1])
        return worst_of(attempt, attempts, images, broken)

    def start(self, images, seed):
        """Returns random points on the border of the ball, in the range.

        Args:
            images: float tensor. The clean images.
            seed: int32 tensor `(2,)`.
        """
        noise = self.ball.random(images, 1.0, seed)
        size = self.epsilon * self.width / self.ball.size(noise)
        return tf.clip_by_value(images + noise * size, *self.value_range)

    def climb(self, value, images, labels, start, broken):
        """Makes one ascent of `steps` steps: algorithm 1 of the paper.

        Args:
            value: function from images to their loss `(batch,)` and logits.
            images: float tensor. The clean images.
            labels: as in `__call__`.
            start: float tensor. Where the ascent begins.
            broken: bool tensor `(batch,)`. The images to leave alone.

        Returns:
            Images, a bool tensor that is true for those that are broken, and
            the loss of each.
        """
        periods = self._periods()

        def step(i, state):
            mean, logits, gradient = self._evaluate(value, state.x)
            direction = self.ball.steepest_ascent(gradient)
            # A NaN among the logits is no success of the attack.
            success = self.succeeds(labels, logits) & ~tf.math.is_nan(mean)
            state = state.seen(mean, direction, success)
            state, x, direction = state.adapted(direction, periods[i], self.rho)
            return self._move(i, state, images, x, direction)

        # One evaluation more than steps, so that the last iterate is seen, too.
        state = Ascent.begin(start, broken, 2 * self.epsilon * self.width)
        state = repeat(
            step,
            state,
            self.steps + 1,
            until=lambda state: tf.reduce_all(state.broken),
        )
        return state.best, state.broken, state.best_value

    def _periods(self):
        """Returns the number of steps since the last checkpoint, at each one.

        They are a tensor `(steps + 1,)` that is 0 between the checkpoints: the
        loop is traced once and has to look them up.
        """
        periods = np.zeros(self.steps + 1, "int32")
        checkpoints = self.checkpoints()
        periods[checkpoints] = np.diff(checkpoints, prepend=0)
        return tf.constant(periods)

    def _evaluate(self, value, x):
        """Returns loss, logits and gradient, averaged over predictions."""

        def once():
            (number, logits), gradient = self.gradient(value, x)
            return number, logits, gradient

        if self.expectation_steps == 1:
            return once()

        def add(_, sums):
            return tuple(a + b for a, b in zip(sums, once(), strict=True))

        number, logits = tf.nest.map_structure(tf.zeros_like, value(x))
        sums = number, logits, tf.zeros_like(x)
        sums = repeat(add, sums, self.expectation_steps)
        return tuple(a / self.expectation_steps for a in sums)

    def _move(self, i, state, images, x, direction):
        """Returns the state after a step with momentum from `x`."""
        ahead = self.project(x + per_image(state.step, x) * direction, images)
        # There is no last step before the first one.
        share = tf.where(i > 0, _MOMENTUM, 1.0)
        momentum = (1 - share) * (x - state.previous)
        new = self.project(x + share * (ahead - x) + momentum, images)
        return state._replace(x=new, previous=x)
