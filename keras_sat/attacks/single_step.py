"""Attacks of one step from noisy images, which make training fast."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.attack import Attack


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStep(Attack):
    """One step up the gradient, taken at images with noise.

    The result is `clip(project(x' + step_size * direction))`, with
    `x' = clip(x + noise * eta)`, where `eta` is a random point of the ball,
    `direction` that of the steepest ascent at `x'`, and `clip` leads into
    `value_range`. `PGD` does not clip the point at which it starts.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        step_size: float > 0. Length of the step, in the same units. Defaults to
            `5 / 255`.
        noise: float >= 0. Size of the noise, in units of `epsilon`. Defaults to
            `1.0`.
        stays_in_ball: bool. Whether the result is projected onto the ball. If
            not, the attack can be trained against, but models are not evaluated
            with it. Defaults to `True`.
        norm, restarts, targeted, loss, value_range: see `Attack`.

    Reference:
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994)
    - [De Jorge et al., 2022](https://arxiv.org/abs/2202.01181)
    """

    step_size: float = 5 / 255
    noise: float = 1.0
    stays_in_ball: bool = True

    def __post_init__(self):
        super().__post_init__()
        checks.real("step_size", self.step_size, above=0)
        checks.real("noise", self.noise, least=0)

    def resized(self, epsilon, norm=None):
        """See `Attack.resized`: the step stays the same share of the radius."""
        resized = super().resized(epsilon, norm)
        step_size = self.step_size * epsilon / self.epsilon
        return resized.replace(step_size=step_size)

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        radius = self.noise * self.epsilon * self.width
        noisy = images + self.ball.random(images, radius, seed)
        noisy = tf.clip_by_value(noisy, *self.value_range)
        gradient = self.loss_gradient(predict, noisy, labels)[2]
        direction = self.ball.steepest_ascent(gradient)
        moved = noisy + self.step_size * self.width * direction
        if self.stays_in_ball:
            return self.project(moved, images)
        return tf.clip_by_value(moved, *self.value_range)


def FGSMRS(epsilon=4 / 255, **kwargs):  # noqa: N802
    """Returns the single step of "Fast is better than free", for training.

    It begins at a random point of the ball, goes 1.25 times the radius, and is
    projected onto the ball.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        **kwargs: other arguments of `SingleStep`.

    Returns:
        A `SingleStep` attack.

    Example:

    ```python
    attack = keras_sat.FGSMRS(epsilon=8 / 255)
    model = keras_sat.SATModel(network, attack=attack)
    ```

    Reference:
    - [Wong et al., 2020](https://arxiv.org/abs/2001.03994)
    - [The authors' code](https://github.com/locuslab/fast_adversarial)
    """
    options = {"step_size": 1.25 * epsilon, "noise": 1.0} | kwargs
    return SingleStep(epsilon=epsilon, **options)


def NFGSM(epsilon=4 / 255, **kwargs):  # noqa: N802
    """Returns the noisy single step of De Jorge et al., for training only.

    It begins up to twice the radius away, in any pixel, and goes as far as the
    radius. The result is not projected, and may be three times the radius away:
    what training withstands is the ball of the radius itself.

    Args:
        epsilon: float > 0. Radius of the ball to train for, as a fraction of
            the width of `value_range`. Defaults to `4 / 255`.
        **kwargs: other arguments of `SingleStep`, such as `noise`, which is 2.

    Returns:
        A `SingleStep` attack.

    Example:

    ```python
    attack = keras_sat.NFGSM(epsilon=8 / 255)
    validation = keras_sat.PGD(epsilon=8 / 255)
    model = keras_sat.SATModel(network, attack, eval_attack=validation)
    ```

    Reference:
    - [De Jorge et al., 2022](https://arxiv.org/abs/2202.01181)
    - [The authors' code](https://github.com/pdejorge/N-FGSM)
    """
    options = {"step_size": epsilon, "noise": 2.0, "stays_in_ball": False}
    return SingleStep(epsilon=epsilon, **options | kwargs)
