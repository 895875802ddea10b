"""Iterates that repeat themselves, from which on all further ones are known."""

from typing import NamedTuple

import tensorflow as tf

from keras_sat.attacks.loops import where


class Cycles(NamedTuple):
    """A search for the cycle that the iterates of each image fall into.

    Projected gradient descent with steps of one length, along the signs of the
    gradient, ends in a cycle of few iterates. As soon as an iterate is equal to
    an earlier one, a whole number of turns can be left out. As in Brent's
    algorithm, a single iterate is remembered, and replaced after more and more
    steps. He doubles their number, which finds cycles of any length soon; most
    of these have two iterates, which are found sooner if it grows by an eighth.

    Args:
        remembered: images. The iterates to compare with.
        age: int tensor `(batch,)`. How many steps ago these were.
        patience: int tensor `(batch,)`. At which age they are replaced.
        found: bool tensor `(batch,)`. True once a cycle was found.

    Reference:
    - [Brent, 1980](https://doi.org/10.1007/BF01933190)
    """

    remembered: tf.Tensor
    age: tf.Tensor
    patience: tf.Tensor
    found: tf.Tensor

    @classmethod
    def begin(cls, x):
        """Returns the search before the first step.

        Args:
            x: images. The first iterates.
        """
        ones = tf.ones(tf.shape(x)[:1], tf.int32)
        return cls(x, 0 * ones, ones, tf.zeros_like(ones, tf.bool))

    def after(self, x, left):
        """Returns the search after a step, and the steps that are left.

        Args:
            x: images. The iterates after the step.
            left: int tensor `(batch,)`. How many steps are left.

        Returns:
            `Cycles`, and an int tensor like `left`: fewer steps that end at the
            same iterates.
        """
        age = self.age + 1
        axes = list(range(1, x.shape.rank))
        repeats = tf.reduce_all(x == self.remembered, axes) & ~self.found
        left = tf.where(repeats, left % age, left)
        replace = ~repeats & (age >= self.patience)
        longer = self.patience + self.patience // 8 + 1
        cycles = Cycles(
            remembered=where(replace, x, self.remembered),
            age=tf.where(replace, 0, age),
            patience=tf.where(replace, longer, self.patience),
            found=self.found | repeats,
        )
        return cycles, left
