"""The iterates of projected gradient descent, image by image."""

from typing import NamedTuple

import tensorflow as tf

from keras_sat.attacks.cycles import Cycles
from keras_sat.attacks.loops import where


class Iterates(NamedTuple):
    """The state of an attempt of `PGD` on each image.

    Args:
        x: images. The present iterates.
        left: int tensor `(batch,)`. How many steps are left.
        cycles: `Cycles`.
        best: images. The iterates of the highest loss.
        best_value: float tensor `(batch,)`. Their loss.
        best_success: bool tensor `(batch,)`. True if they are misclassified.
    """

    x: tf.Tensor
    left: tf.Tensor
    cycles: Cycles
    best: tf.Tensor
    best_value: tf.Tensor
    best_success: tf.Tensor

    @classmethod
    def begin(cls, start, steps):
        """Returns the iterates before the first step.

        Args:
            start: images. The first iterates.
            steps: int. How many steps to make.
        """

        def fill(number):
            return tf.fill(tf.shape(start)[:1], number)

        return cls(
            x=start,
            left=fill(steps),
            cycles=Cycles.begin(start),
            best=start,
            best_value=fill(-float("inf")),
            best_success=fill(False),
        )

    def seen(self, value, success):
        """Returns the state after `x` was evaluated.

        Args:
            value: float tensor `(batch,)`. The loss of `x`.
            success: bool tensor `(batch,)`. True if `x` is misclassified.
        """
        higher = value > self.best_value
        return self._replace(
            best=where(higher, self.x, self.best),
            best_value=tf.where(higher, value, self.best_value),
            best_success=tf.where(higher, success, self.best_success),
        )

    def moved(self, x, may_repeat, best_iterate):
        """Returns the state after a step, with fewer left if they repeat.

        Args:
            x: images. The iterates after the step.
            may_repeat: bool. Whether an iterate that comes back is followed by
                the same ones as before.
            best_iterate: bool. Whether the best iterate is the result. It has
                been seen when one comes back.
        """
        left = self.left - 1
        if not may_repeat:
            return self._replace(x=x, left=left)
        cycles, left = self.cycles.after(x, left)
        if best_iterate:
            left = tf.where(cycles.found, 0, left)
        return self._replace(x=x, left=left, cycles=cycles)
