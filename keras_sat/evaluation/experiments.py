"""Small experiments on a few images: what `diagnostics` judges by."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from keras_sat.attacks import PGD
from keras_sat.attacks.compiled import compiled
from keras_sat.attacks.seeds import fold_in
from keras_sat.predictions.inference import inference
from keras_sat.predictions.inference import input_gradient
from keras_sat.predictions.labels import is_right

# The radii of the curve, as multiples of the radius of the evaluation.
RELATIVE_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = (1, 2, 5, 10, 20, 50)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Experiments:
    """A model, a few images, and the experiments that are made on them.

    Args:
        predict: function from images to float32 logits.
        images: float32 tensor `(count, ...)` in `value_range`.
        labels: int32 tensor `(count,)`.
        withstood: bool array `(count,)`. The images that no attack of the
            evaluation broke.
        epsilon: float > 0. Radius of these attacks, as a fraction of the width
            of `value_range`.
        norm: str. `"linf"` or `"l2"`.
        value_range: pair of floats. Black and white in the images.
        seed: int32 tensor `(2,)`.
        averaged: bool. Whether the attacks of the evaluation average over
            predictions. Then random predictions are no reason to doubt it.
            Defaults to `False`.
        batch_size: int. How many images the model takes at once. Defaults to
            `64`.
    """

    predict: object
    images: tf.Tensor
    labels: tf.Tensor
    withstood: np.ndarray
    epsilon: float
    norm: str
    value_range: tuple
    seed: tf.Tensor
    averaged: bool = False
    batch_size: int = 64

    def __post_init__(self):
        object.__setattr__(self, "predict", inference(self.predict))
        # A model without gradients is to be diagnosed, not to raise an error.
        if not self.has_gradient:
            predict = _with_zero_gradient(self.predict)
            object.__setattr__(self, "predict", predict)

    @functools.cached_property
    def has_gradient(self):
        """True if there is a gradient path from the logits to the images."""
        missing = []
        input_gradient(
            lambda x: tf.reduce_sum(self.predict(x), axis=-1),
            self.images[: self.batch_size],
            on_missing=lambda: missing.append(True),
        )
        return not missing

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
        low, high = self.value_range
        new_low, new_high = value_range

        def right(images, labels, _):
            shares = (images - low) / (high - low)
            scaled = shares * (new_high - new_low) + new_low
            return is_right(labels, self.predict(scaled))

        try:
            return self._in_batches(right)
        except tf.errors.InvalidArgumentError:
            # It asserts that its images lie in another range.
            return np.zeros(len(self.labels), bool)

    def outputs(self):
        """Returns the logits of all images, computed anew, as an array."""
        return self._in_batches(lambda x, _, __: self.predict(x))

    def gradients(self, loss):
        """Returns the gradients of a loss with respect to the images.

        Args:
            loss: function `(labels, logits) -> (batch,)`.

        Returns:
            float array `(count, pixels)`.
        """

        def gradient(images, labels, _):
            return input_gradient(
                lambda x: loss(labels, self.predict(x)), images
            )[1]

        gradients = self._in_batches(gradient)
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
        run = compiled(self._pgd(**options), self.predict)

        def holds(images, labels, seed):
            found = run(images, labels, seed)
            return is_right(labels, self.predict(found))

        left = np.array(self.right if among is None else among)
        left[left] = self._in_batches(holds, np.flatnonzero(left))
        return left

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
        if images.shape.rank != 4 or images.shape[-1] not in (1, 3):
            return None
        run = compiled(self._pgd(), self.predict)
        adversarial = run(images, labels, self.seed)
        before, after = (
            np.argmax(self.predict(x), axis=-1) for x in (images, adversarial)
        )
        return {
            "images": np.asarray(images),
            "adversarial": np.asarray(adversarial),
            "labels": np.asarray(labels),
            "clean_predictions": before,
            "adversarial_predictions": after,
            "value_range": np.asarray(self.value_range),
        }

    def _pgd(self, **options):
        """Returns PGD on the margin with the defaults of `withstands`."""
        options = {
            "epsilon": self.epsilon,
            "norm": self.norm,
            "value_range": self.value_range,
            "loss": "margin",
            "steps": 20,
        } | options
        step_size = 2.5 * options["epsilon"] / options["steps"]
        return PGD(**({"step_size": step_size} | options))

    def _in_batches(self, function, indices=None):
        """Returns what a function gives for the images, batch by batch, joined.

        Args:
            function: callable `(images, labels, seed)` to a tensor
                `(batch, ...)`.
            indices: int array. The images to use. Defaults to all.
        """
        if indices is None:
            indices = np.arange(len(self.labels))
        results = []
        for start in range(0, len(indices), self.batch_size):
            chosen = indices[start : start + self.batch_size]
            images, labels = (
                tf.gather(x, chosen) for x in (self.images, self.labels)
            )
            seed = fold_in(self.seed, start)
            results.append(np.asarray(function(images, labels, seed)))
        return np.concatenate(results) if results else np.zeros(0, bool)


def _with_zero_gradient(predict):
    """Returns `predict` with a gradient of 0 in place of a missing one."""

    def connected(images):
        axes = list(range(1, images.shape.rank))
        nothing = 0.0 * tf.reduce_sum(images, axes)
        return predict(tf.stop_gradient(images)) + nothing[:, tf.newaxis]

    return connected
