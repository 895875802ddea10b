"""What users may add in a project of their own, by public names only.

Two attacks, an objective and two activations. `tests/extension_test.py` uses
them wherever the package takes such things.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

import keras_sat

register = keras.saving.register_keras_serializable("extensions")


# Two attacks, one with gradients and one without.


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class SteepestStep(keras_sat.Attack):
    """Goes one step up the gradient, from the middle of the ball to its border.

    On a linear classifier of two classes no attack does better.
    """

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        del seed
        _, gradient = self.gradient(
            lambda x: self.objective(labels, predict(x)), images
        )
        step = self.epsilon * self.width * self.ball.steepest_ascent(gradient)
        return self.project(images + step, images)


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomSearch(keras_sat.Attack):
    """Tries random perturbations, and keeps the one with the highest loss.

    Args:
        queries: int >= 1. How many are tried.
    """

    queries: int = 10

    def __post_init__(self):
        super().__post_init__()
        if self.queries < 1:
            raise ValueError(f"`queries` must be at least 1: {self.queries}")

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        radius = self.epsilon * self.width

        def query(i, best, highest):
            own = tf.random.experimental.stateless_fold_in(seed, i)
            noise = self.ball.random(images, radius, own)
            tried = self.project(images + noise, images)
            value = self.objective(labels, predict(tried))
            better = value > highest
            chosen = tf.where(better[:, None, None, None], tried, best)
            return i + 1, chosen, tf.where(better, value, highest)

        start = self.objective(labels, predict(images))
        _, best, _ = tf.while_loop(
            lambda i, *_: i < self.queries,
            query,
            (tf.constant(0), images, start),
            maximum_iterations=self.queries,
        )
        return best


# An objective.


@register
@dataclasses.dataclass(frozen=True, kw_only=True)
class LogitPairing(keras_sat.Objective):
    """The compiled loss on adversarial images, plus a distance of logits.

    Args:
        weight: float. Factor of the mean squared difference between the logits
            of clean and of adversarial images.
    """

    weight: float = 0.5

    def __call__(self, model, images, adversarial, labels, weights):
        """See `Objective.__call__`."""
        clean = model(images, training=True)
        robust = model(adversarial, training=True)
        loss = model.compute_loss(adversarial, labels, robust, weights)
        # A `Loss` is divided by the number of replicas, a mean is not.
        distance = keras.losses.MeanSquaredError()(clean, robust, weights)
        return loss + self.weight * distance, robust


# Two activations, one without weights and one with.


@register
def serf(x):
    """`x * erf(softplus(x))`."""
    return x * ops.erf(ops.softplus(x))


@register
class LearnedSwish(keras.layers.Layer):
    """`x * sigmoid(beta * x)`, with a learned `beta`.

    Args:
        beta: float. Its first value.
    """

    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.beta = beta
        initializer = keras.initializers.Constant(beta)
        # Here and not in `build`, which another layer may never call.
        self.learned = self.add_weight((), initializer, name="sharpness")

    def call(self, x):
        """See `keras.layers.Layer.call`."""
        return x * ops.sigmoid(self.learned * x)

    def get_config(self):
        """See `keras.layers.Layer.get_config`."""
        return super().get_config() | {"beta": self.beta}
