"""Square attack: random search with squares, without gradients."""

import dataclasses
from typing import NamedTuple

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.attempts import Attempts
from keras_sat.attacks.loops import where
from keras_sat.attacks.seeds import fold_in
from keras_sat.attacks.seeds import of_images
from keras_sat.attacks.stepwise import StepwiseAttack

# After how many queries the area of the squares is halved, if there are 10,000
# of them.
_SCHEDULE_LENGTH = 10_000
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(StepwiseAttack):
    """Random search that changes one square at a time; it needs no gradients.

    Each query changes the perturbation in a square at a random place, the same
    for all images of a batch, and keeps the change for the images whose loss
    rises. The area of the square is `p_init` times that of the image at first,
    and is halved on a schedule: after 10, 50, 200, 500, 1000, 2000, 4000, 6000
    and 8000 queries. Images that are broken are not changed any more.

    Unlike in the authors' code, squares reach the last row and column.

    Args:
        epsilon: float > 0. Radius of the ball, as a fraction of the width of
            `value_range`. Defaults to `4 / 255`.
        queries: int >= 1. Predictions for each image. Defaults to `5000`.
        p_init: float in `(0, 1]`. Area of the first squares, as a share of
            that of the image. Defaults to `0.8`.
        rescale_schedule: bool. Whether to stretch or shrink the schedule, which
            is one for 10,000 queries, to `queries`, so that the attack always
            ends with the smallest squares. AutoAttack does not rescale it.
            Defaults to `False`.
        loss: str or callable. The loss that is raised. Defaults to `"margin"`.
        norm, restarts, targeted, value_range: see `Attack`.

    Raises:
        TypeError, ValueError: See `Attack`. When it is called, also if images
            do not have the shape `(batch, height, width, channels)`.

    Example:

    ```python
    attack = keras_sat.Square(epsilon=8 / 255, queries=1000)
    adversarial = attack(model, images, labels)
    ```

    Reference:
    - [Andriushchenko et al., 2020](https://arxiv.org/abs/1912.00049)
    """

    queries: int = 5000
    p_init: float = 0.8
    rescale_schedule: bool = False
    loss: str = "margin"

    def __post_init__(self):
        super().__post_init__()
        checks.integer("queries", self.queries)
        checks.probability("p_init", self.p_init)
        checks.real("p_init", self.p_init, above=0)

    def num_steps(self, num_classes):
        """See `StepwiseAttack.num_steps`."""
        del num_classes
        return self.restarts * self.queries

    def begin(self, network, images, labels, rows, seed):
        """See `StepwiseAttack.begin`."""
        if images.shape.rank != 4:
            checks.refuse(
                "images",
                "have the shape (batch, height, width, channels)",
                checks.Described(f"shape {images.shape}"),
            )
        state = Attempts.begin(images, labels, rows)
        return state._replace(
            attempt=self._new_attempt(state, seed),
            done=self.succeeds(labels, network(images)),
        )

    def shared(self, images, seed):
        """Returns the seed, and the random numbers of all queries.

        Drawn at once, they are the same for all images, as in the code of the
        authors: an image looks up those of its own query.
        """
        squares = self.ball.squares(images, self.areas()[0])
        shape = [self.restarts, self.queries, squares.num_draws()]
        return seed, tf.random.stateless_uniform(shape, seed)

    def step(self, network, state, shared):
        """See `StepwiseAttack.step`; a query of algorithm 1 of the paper."""
        seed, draws = shared
        attempt = state.attempt
        logits = network(attempt.candidate)
        value = self.objective(state.labels, logits)
        success = self.succeeds(state.labels, logits)
        better = ~state.done & (success | (value > attempt.best_value))
        best = where(better, attempt.candidate, attempt.best)
        best_value = tf.where(better, value, attempt.best_value)
        attempt = _Attempt(
            index=attempt.index + 1,
            candidate=self._changed(state, best, draws),
            best=best,
            best_value=best_value,
        )
        ends = ~state.done & (success | (attempt.index >= self.queries))
        state = state._replace(attempt=attempt)
        state = state.judged(best, best_value, success, ends, self.restarts)
        if self.restarts == 1:
            return state
        return state.begun_anew(
            ends & ~state.done, lambda state: self._new_attempt(state, seed)
        )

    def areas(self):
        """Returns the schedule of the squares.

        Returns:
            List of the areas, as shares of the image, and list of the queries
            with which each area but the first begins.
        """
        starts = [n + 1 for n in _HALVINGS]
        if self.rescale_schedule:
            # Rounded up in integers: floats might round 7.0000001 up to 8.
            starts = [-(-n * self.queries // _SCHEDULE_LENGTH) for n in starts]
        return [self.p_init / 2**n for n in range(len(starts) + 1)], starts

    def _changed(self, state, best, draws):
        """Returns the best images so far with another square in each.

        Args:
            state: `Attempts`, before the query.
            best: images.
            draws: see `shared`.
        """
        areas, starts = self.areas()
        squares = self.ball.squares(state.images, areas)
        # Images that are done may have counted further.
        index = tf.minimum(state.attempt.index, self.queries - 1)
        ended = tf.minimum(state.ended, self.restarts - 1)
        numbers = tf.gather_nd(draws, tf.stack([ended, index], axis=1))
        # How many of the halvings have taken place.
        level = index[:, tf.newaxis] >= tf.constant(starts)
        level = tf.reduce_sum(tf.cast(level, tf.int32), axis=1)
        delta = squares.change(
            best - state.images,
            self.epsilon * self.width,
            level,
            numbers,
        )
        return self._clipped(state.images, delta)

    def _new_attempt(self, state, seed):
        """Returns attempts before their first query."""
        squares = self.ball.squares(state.images, self.areas()[0])
        seeds = fold_in(of_images(seed, state.rows), state.ended)
        radius = self.epsilon * self.width
        delta = squares.start(state.images, radius, seeds)
        return _Attempt(
            index=tf.zeros_like(state.rows),
            candidate=self._clipped(state.images, delta),
            best=state.images,
            best_value=tf.fill(tf.shape(state.rows), -float("inf")),
        )

    def _clipped(self, images, delta):
        return tf.clip_by_value(images + delta, *self.value_range)


class _Attempt(NamedTuple):
    """The state of an attempt.

    Args:
        index: int tensor `(batch,)`. How many queries have been made.
        candidate: images. Those of the next query.
        best: images. The best ones so far.
        best_value: float tensor `(batch,)`. Their loss.
    """

    index: tf.Tensor
    candidate: tf.Tensor
    best: tf.Tensor
    best_value: tf.Tensor
