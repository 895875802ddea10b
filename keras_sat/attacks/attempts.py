"""Several attempts on each image, of which the worst result counts."""

from typing import NamedTuple

import tensorflow as tf

from keras_sat.attacks.loops import where
from keras_sat.attacks.stepwise import choose


class Attempts(NamedTuple):
    """The state of an attack that makes several attempts on each image.

    Args:
        images, labels, rows: see `StepwiseAttack.begin`.
        ended: int tensor `(batch,)`. How many attempts have ended.
        attempt: named tuple of tensors with the batch in front. The present
            attempts.
        adversarial: images. The worst ones of the attempts that have ended.
        value: float tensor `(batch,)`. Their loss.
        done: bool tensor `(batch,)`. True if they are misclassified, or if all
            attempts were made.
    """

    images: tf.Tensor
    labels: tf.Tensor
    rows: tf.Tensor
    ended: tf.Tensor
    attempt: tuple | None
    adversarial: tf.Tensor
    value: tf.Tensor
    done: tf.Tensor

    @classmethod
    def begin(cls, images, labels, rows):
        """Returns the state before the first attempt; see `Attempts`."""
        return cls(
            images=images,
            labels=labels,
            rows=rows,
            ended=tf.zeros_like(rows),
            attempt=None,
            adversarial=images,
            value=tf.fill(tf.shape(rows), -float("inf")),
            done=tf.zeros_like(rows, tf.bool),
        )

    def judged(self, x, value, success, ends, count):
        """Returns the state with the results of the attempts that end here.

        Args:
            x: images. The results of the present attempt.
            value: float tensor `(batch,)`. Their loss.
            success: bool tensor `(batch,)`. True if they are misclassified.
            ends: bool tensor `(batch,)`. True if the attempt ends with them.
            count: int. How many attempts to make.
        """
        better = ends & (success | (value > self.value))
        ended = self.ended + tf.cast(ends, tf.int32)
        return self._replace(
            adversarial=where(better, x, self.adversarial),
            value=tf.where(better, value, self.value),
            ended=ended,
            done=self.done | (ends & (success | (ended >= count))),
        )

    def begun_anew(self, anew, begin):
        """Returns the state in which some images begin their next attempts.

        Args:
            anew: bool tensor `(batch,)`. The images that begin.
            begin: function from this state to attempts at their beginning.
        """

        def begun():
            return choose(anew, begin(self), self.attempt)

        # Random numbers are only drawn where they are needed.
        attempt = tf.cond(tf.reduce_any(anew), begun, lambda: self.attempt)
        return self._replace(attempt=attempt)
