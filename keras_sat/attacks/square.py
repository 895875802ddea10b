"""Square attack: random search with squares, without gradients."""

import dataclasses

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.loops import repeat
from keras_sat.attacks.loops import where
from keras_sat.attacks.loops import worst_of
from keras_sat.attacks.seeds import fold_in

# After how many queries the area of the squares is halved, if there are 10,000
# of them.
_SCHEDULE_LENGTH = 10_000
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Square(Attack):
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

    perturb_restarts = True

    def __post_init__(self):
        super().__post_init__()
        checks.integer("queries", self.queries)
        checks.probability("p_init", self.p_init)
        checks.real("p_init", self.p_init, above=0)

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`; makes all the attempts."""
        if images.shape.rank != 4:
            checks.refuse(
                "images",
                "have the shape (batch, height, width, channels)",
                checks.Described(f"shape {images.shape}"),
            )

        def attempt(i, broken):
            return self.search(
                predict, images, labels, fold_in(seed, i), broken
            )

        broken = self.succeeds(labels, predict(images))
        return worst_of(attempt, self.restarts, images, broken)

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

    def search(self, predict, images, labels, seed, broken):
        """Makes one search of `queries` predictions: algorithm 1 of the paper.

        Args:
            predict: function from images to logits.
            images: float tensor. The clean images.
            labels: as in `__call__`.
            seed: int32 tensor `(2,)`.
            broken: bool tensor `(batch,)`. The images to leave alone.

        Returns:
            Images, a bool tensor that is true for those that are broken, and
            the loss of each.
        """
        radius = self.epsilon * self.width
        areas, starts = self.areas()
        squares = self.ball.squares(images, areas)

        def clipped(delta):
            return tf.clip_by_value(images + delta, *self.value_range)

        def step(i, state):
            candidate, best, best_value, broken = state
            logits = predict(candidate)
            value = self.objective(labels, logits)
            success = self.succeeds(labels, logits)
            better = ~broken & (success | (value > best_value))
            best = where(better, candidate, best)
            best_value = tf.where(better, value, best_value)
            # How many of the halvings have taken place.
            level = tf.reduce_sum(tf.cast(i >= tf.constant(starts), tf.int32))
            delta = squares.change(
                best - images, radius, level, fold_in(seed, i)
            )
            return clipped(delta), best, best_value, broken | success

        start = clipped(squares.start(images, radius, seed))
        lowest = tf.fill(tf.shape(broken), -float("inf"))
        _, best, best_value, broken = repeat(
            step,
            (start, start, lowest, broken),
            self.queries,
            until=lambda state: tf.reduce_all(state[-1]),
        )
        return best, broken, best_value
