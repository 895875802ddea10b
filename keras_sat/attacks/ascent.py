"""The state of an Auto-PGD ascent, and the rule that adapts its step size.

Reference:
- [Croce and Hein, 2020](https://arxiv.org/abs/2003.01690)
"""

from typing import NamedTuple

import tensorflow as tf

from keras_sat.attacks.loops import where


class Ascent(NamedTuple):
    """The state of an ascent of `APGD` for each image of a batch.

    Args:
        x: images. The present iterate.
        previous: images. The iterate before.
        best: images. The first misclassified iterate, or else the one of the
            highest loss.
        best_direction: tensor like the images. The direction of a step from
            `best`.
        best_value: float tensor `(batch,)`. The loss of `best`.
        last_value: float tensor `(batch,)`. The loss of `previous`.
        checked_value: float tensor `(batch,)`. `best_value` at the last
            checkpoint.
        step: float tensor `(batch,)`. The step size.
        rises: float tensor `(batch,)`. In how many steps since the last
            checkpoint the loss rose.
        halved: bool tensor `(batch,)`. True if the step size was halved at the
            last checkpoint.
    """

    x: tf.Tensor
    previous: tf.Tensor
    best: tf.Tensor
    best_direction: tf.Tensor
    best_value: tf.Tensor
    last_value: tf.Tensor
    checked_value: tf.Tensor
    step: tf.Tensor
    rises: tf.Tensor
    halved: tf.Tensor

    @classmethod
    def begin(cls, start, step):
        """Returns the ascent before the first evaluation.

        Args:
            start: float tensor. The first iterates.
            step: float. The first step size.
        """

        def fill(number):
            return tf.fill(tf.shape(start)[:1], number)

        return cls(
            x=start,
            previous=start,
            best=start,
            best_direction=tf.zeros_like(start),
            best_value=fill(-float("inf")),
            last_value=fill(float("inf")),
            checked_value=fill(-float("inf")),
            step=fill(step),
            rises=fill(0.0),
            halved=fill(True),
        )

    def seen(self, value, direction, success):
        """Returns the ascent after `x` was evaluated.

        Args:
            value: float tensor `(batch,)`. The loss.
            direction: tensor like `x`. The direction of a step from `x`.
            success: bool tensor `(batch,)`. True if `x` is misclassified.
        """
        better = success | (value > self.best_value)
        rise = tf.cast(value > self.last_value, tf.float32)
        return self._replace(
            best=where(better, self.x, self.best),
            best_direction=where(better, direction, self.best_direction),
            best_value=tf.where(better, value, self.best_value),
            last_value=value,
            rises=self.rises + rise,
        )

    def adapted(self, direction, period, rho):
        """Halves steps and goes back to the best iterates, at a checkpoint.

        Args:
            direction: float tensor. The direction of the step from `x`.
            period: int tensor `(batch,)`. Steps since the last checkpoint; 0
                if this is none.
            rho: float. Share of the steps that have to raise the loss.

        Returns:
            The new state, and from where and in which direction the next step
            is made.
        """
        check = period > 0
        # Conditions 1 and 2 of section 3 of the paper. Like the code of its
        # authors, and unlike the text, the first one includes equality.
        few_rises = self.rises <= rho * tf.cast(period, tf.float32)
        stuck = ~self.halved & (self.best_value <= self.checked_value)
        halve = check & (few_rises | stuck)
        state = self._replace(
            step=tf.where(halve, self.step / 2, self.step),
            rises=tf.where(check, tf.zeros_like(self.rises), self.rises),
            halved=tf.where(check, halve, self.halved),
            checked_value=tf.where(check, self.best_value, self.checked_value),
        )
        x = where(halve, self.best, self.x)
        return state, x, where(halve, self.best_direction, direction)
