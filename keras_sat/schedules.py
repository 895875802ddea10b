"""Schedules of the learning rate and of the size of the attack.

All are `keras.optimizers.schedules.LearningRateSchedule`s: functions of the
number of batches that the optimizer has seen. Checkpoints contain this number,
so a schedule continues where it was after an interruption.
"""

import dataclasses
import math

import keras
from keras import ops

from keras_sat import checks
from keras_sat import config
from keras_sat.optimizers import batches_seen as batches_seen

LearningRateSchedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("keras_sat")
class LinearWarmup(LearningRateSchedule):
    """A schedule that rises linearly, then follows another one or stays.

    At step `i` of the warm-up, the value is `start + (peak - start) * i /
    steps`, where `peak` is the first value of `schedule`. From step `steps` on,
    it is the value of `schedule` at `i`: the steps of the warm-up count.

    Args:
        schedule: `LearningRateSchedule`, or float for a value that stays.
        steps: int or float >= 0. Length of the warm-up.
        start: float. First value of the warm-up. Defaults to `0.0`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If `steps` is negative, or a number is not finite.

    Example:

    ```python
    rate = keras_sat.schedules.LinearWarmup(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1000, 0.97), steps=500
    )
    model.compile(keras.optimizers.SGD(rate))
    ```
    """

    def __init__(self, schedule, steps, start=0.0):
        super().__init__()
        if not isinstance(schedule, LearningRateSchedule):
            checks.real(
                "schedule", schedule, fix="Or give a LearningRateSchedule."
            )
        checks.real("steps", steps, least=0)
        checks.real("start", start)
        self.schedule = schedule
        self.steps = steps
        self.start = start

    def __call__(self, step):
        """Returns the value at a step, a scalar float32 tensor."""
        passed = ops.cast(step, "float32")
        share = passed / max(self.steps, 1)
        rising = self.start + (self._at(0) - self.start) * share
        return ops.where(passed < self.steps, rising, self._at(step))

    def get_config(self):
        """Returns the arguments, in a form that Keras can save."""
        return {
            "schedule": config.saved("schedule", self.schedule),
            "steps": self.steps,
            "start": self.start,
        }

    @classmethod
    def from_config(cls, fields):
        """Makes the schedule that `get_config` described."""
        return cls(**{k: config.loaded(v) for k, v in fields.items()})

    def _at(self, step):
        """Returns the value of the schedule after the warm-up."""
        schedule = self.schedule
        if isinstance(schedule, LearningRateSchedule):
            schedule = schedule(step)
        return ops.cast(schedule, "float32")


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackSchedule(config.Config):
    """A description of how the attack of `SATModel` grows during training.

    Args:
        epsilon: `LearningRateSchedule`. Factor of the radius and of the step
            size. Defaults to a constant 1.
        step_size: `LearningRateSchedule`. Another factor of the step size, in
            addition to that of `epsilon`. Defaults to a constant 1.

    Raises:
        TypeError: If a factor is not a schedule.

    Example:

    ```python
    growing = keras_sat.schedules.LinearWarmup(1.0, steps=1000)
    model.compile(
        attack_schedule=keras_sat.schedules.AttackSchedule(epsilon=growing)
    )
    ```
    """

    epsilon: LearningRateSchedule | None = None
    step_size: LearningRateSchedule | None = None

    def __post_init__(self):
        for name in ("epsilon", "step_size"):
            factor = getattr(self, name)
            if not isinstance(factor, LearningRateSchedule | None):
                checks.refuse(
                    name, "be a LearningRateSchedule", factor, error=TypeError
                )

    def scale(self, step):
        """Returns the factors at a step.

        Args:
            step: int tensor. Number of batches that the optimizer has seen.

        Returns:
            dict of scalar tensors, arguments of `Attack.scaled`.
        """
        one = ops.ones(())
        epsilon = one if self.epsilon is None else self.epsilon(step)
        step_size = one if self.step_size is None else self.step_size(step)
        return {"epsilon": epsilon, "step_size": epsilon * step_size}


def step_decay(rate, boundaries, factor=0.1):
    """Returns a learning rate that is multiplied by `factor` at some steps.

    Args:
        rate: float. The rate at the first step.
        boundaries: sequence of float > 0, ascending. Each step, counted from 0,
            with which another rate begins; rounded up.
        factor: float. Defaults to `0.1`.

    Returns:
        `LearningRateSchedule`.

    Raises:
        ValueError: If the boundaries are not positive and ascending.

    Example:

    ```python
    rate = keras_sat.schedules.step_decay(0.1, boundaries=(3000, 6000))
    model.compile(keras.optimizers.SGD(rate))
    ```
    """
    first = [math.ceil(boundary) for boundary in boundaries]
    if not first or first[0] < 1 or sorted(set(first)) != first:
        checks.refuse("boundaries", "be positive and ascending", boundaries)
    values = [rate * factor**i for i in range(len(first) + 1)]
    # In Keras, a boundary is the last step with the rate before it.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [step - 1 for step in first], values
    )


def cosine_decay(rate, steps, warmup_steps=0, start=0.0):
    """Returns a learning rate that falls to 0 along half a cosine.

    Before that, it may rise linearly in a warm-up.

    Args:
        rate: float. The highest rate.
        steps: float > `warmup_steps`. The step at which the rate reaches 0.
        warmup_steps: float >= 0. Length of the warm-up. Defaults to `0`.
        start: float. The rate at the first step of the warm-up. Defaults to
            `0.0`.

    Returns:
        `LearningRateSchedule`.

    Raises:
        ValueError: If there is no step after the warm-up.

    Example:

    ```python
    rate = keras_sat.schedules.cosine_decay(0.1, steps=9000, warmup_steps=500)
    model.compile(keras.optimizers.SGD(rate))
    ```
    """
    checks.real("steps", steps, above=warmup_steps)
    warmup = {"warmup_target": rate, "warmup_steps": warmup_steps}
    return keras.optimizers.schedules.CosineDecay(
        start if warmup_steps else rate,
        steps - warmup_steps,
        **(warmup if warmup_steps else {}),
    )
