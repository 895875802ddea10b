"""Small experiments on a few images: what `diagnostics` judges by."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks import losses
from keras_sat.attacks.parallel import in_parallel
from keras_sat.attacks.scalable import Scalable
from keras_sat.attacks.stages import Stage
from keras_sat.attacks.stages import attacked
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.predictions.labels import is_right

# The radii of the curve, as multiples of the radius of the evaluation.
RELATIVE_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = (1, 2, 5, 10, 20, 50)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Experiments:
    """A model, a few images, and the experiments that are made on them.

    Args:
        evaluated: `EvaluatedModel`.
        images: float32 array `(count, ...)` in its `value_range`.
        labels: int32 array `(count,)`.
        withstood: bool array `(count,)`. The images that no attack of the
            evaluation broke.
        epsilon: float > 0. Radius of these attacks, as a fraction of the width
            of `value_range`.
        norm: str. `"linf"` or `"l2"`.
        seed: int32 array `(2,)`.
        averaged: bool. Whether the attacks of the evaluation average over
            predictions. Then random predictions are no reason to doubt it.
            Defaults to `False`.
        say: function that shows a line of text about what is being done.
            Defaults to showing nothing.
    """

    evaluated: EvaluatedModel
    images: np.ndarray
    labels: np.ndarray
    withstood: np.ndarray
    epsilon: float
    norm: str
    seed: np.ndarray
    averaged: bool = False
    say: object = lambda text: None

    @functools.cached_property
    def has_gradient(self):
        """True if there is a gradient path from the logits to the images."""
        self.gradients(losses.cross_entropy)
        return self.evaluated.network.is_differentiable

    @functools.cached_property
    def right(self):
        """The images that are classified right, bool array `(count,)`."""
        return np.asarray(is_right(self.labels, self.outputs()))

    def right_in(self, value_range):
        """Returns the images that are classified right in another range.

        Args:
            value_range: pair of floats. The values of black and of white that
                the images are scaled to.

        Returns:
            bool array `(count,)`; false for all if the model refuses them.
        """
        low, high = self.evaluated.value_range
        new_low, new_high = value_range
        shares = (self.images - low) / (high - low)
        scaled = (shares * (new_high - new_low) + new_low).astype("float32")
        try:
            return self.evaluated.is_right(scaled, self.labels)
        except tf.errors.InvalidArgumentError:
            # It asserts that its images lie in another range.
            return np.zeros(len(self.labels), bool)

    def outputs(self):
        """Returns the logits of all images, computed anew, as an array."""
        return self.evaluated.logits(self.images)

    def gradients(self, loss):
        """Returns the gradients of a loss with respect to the images.

        Args:
            loss: function `(labels, logits) -> (batch,)`.

        Returns:
            float array `(count, pixels)`.
        """

        def gradient(images, labels):
            return self.evaluated.network.value_and_gradient(
                loss, images, labels
            )[2]

        gradients = self.evaluated.in_batches(
            gradient, self.images, self.labels
        )
        return gradients.reshape(len(gradients), -1)

    def withstands(self, among=None, **options):
        """Returns the images that PGD on the margin does not break.

        It attacks the margin because the cross-entropy of very confident
        predictions is flat.

        Args:
            among: bool array `(count,)`. The images to attack. Defaults to
                those that are classified right.
            **options: arguments of `PGD`. By default it makes 20 steps, which
                together are 2.5 radii long.

        Returns:
            bool array `(count,)`; false for images that are not attacked.
        """
        among = np.array(self.right if among is None else among)
        found = self._attacked(among, **options)
        return among & self.evaluated.is_right(found, self.labels)

    def accuracy_by_epsilon(self):
        """Returns a dict from radii to the accuracy under PGD-20.

        The radius 0 stands for the accuracy on the clean images.
        """
        curve = {0.0: float(np.mean(self.right))}
        for factor in RELATIVE_EPSILONS:
            epsilon = factor * self.epsilon
            # The L-infinity ball of radius 1 already holds all images.
            if self.norm == "linf" and epsilon > 1:
                break
            curve[epsilon] = float(np.mean(self.withstands(epsilon=epsilon)))
        return curve

    def accuracy_by_steps(self):
        """Returns a dict from numbers of steps to the accuracy under PGD."""
        return {
            float(steps): float(np.mean(self.withstands(steps=steps)))
            for steps in STEPS
        }

    def examples(self, count=8):
        """Returns a few images before and after PGD-20.

        Args:
            count: int >= 1. How many images. Defaults to `8`.

        Returns:
            Dict with the arguments of `plots.perturbation_grid`, or `None` if
            the images cannot be shown.
        """
        images, labels = self.images[:count], self.labels[:count]
        if images.ndim != 4 or images.shape[-1] not in (1, 3):
            return None
        chosen = np.arange(len(self.images)) < count
        adversarial = self._attacked(chosen)[:count]
        before, after = (
            np.argmax(self.evaluated.logits(x), axis=-1)
            for x in (images, adversarial)
        )
        return {
            "images": images,
            "adversarial": adversarial,
            "labels": labels,
            "clean_predictions": before,
            "adversarial_predictions": after,
            "value_range": np.asarray(self.evaluated.value_range),
        }

    def _attacked(self, among, restarts=1, **options):
        """Returns all images, after PGD on the margin on some of them.

        Args:
            among: bool array `(count,)`. The images to attack.
            restarts, **options: see `withstands`.
        """
        sizes = {"epsilon": self.epsilon, "steps": 20} | options
        length = 2.5 * sizes["epsilon"] / sizes["steps"]
        sizes = {"step_size": length} | sizes
        self.say(
            f"diagnosing: PGD-{sizes['steps']}, epsilon {sizes['epsilon']:.3g}"
        )
        steps = np.int32(sizes.pop("steps"))
        factors = {"steps": steps} | {
            name: np.float32(size) for name, size in sizes.items()
        }
        evaluated = self.evaluated
        with evaluated.strategy.scope():
            if restarts not in self._attacks:
                self._attacks[restarts] = self._any_pgd(restarts)
            empty = Stage(
                self._attacks[restarts],
                restarts * (steps + 1),
                evaluated.batch_size,
                (self.seed, factors),
            )
            return np.asarray(attacked(empty, self.images, self.labels, among))

    @functools.cached_property
    def _attacks(self):
        """A dict from numbers of restarts to PGD of any size."""
        return {}

    def _any_pgd(self, restarts):
        """Returns PGD on the margin, of which there is one graph for all sizes.

        Args:
            restarts: int >= 1.
        """
        attack = PGD(
            epsilon=1,
            step_size=1,
            steps=1,
            norm=self.norm,
            value_range=self.evaluated.value_range,
            loss="margin",
            restarts=restarts,
        )
        # A model without gradients is to be diagnosed, not refused.
        return in_parallel(
            Scalable(attack.lenient(silently=True)),
            self.evaluated.network,
            self.evaluated.strategy,
        )
