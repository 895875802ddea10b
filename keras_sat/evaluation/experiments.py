"""What the experiments of `diagnostics` are made on."""

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

RELATIVE_EPSILONS = (0.25, 0.5, 1.0, 2.0, 4.0)
STEPS = (1, 2, 5, 10, 20, 50)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model and the few images that the experiments use.

    Args:
        predict: function from images to float32 logits.
        images: float32 tensor `(count, ...)` in `value_range`.
        labels: int32 tensor `(count,)`.
        withstood: bool array `(count,)`. Which images no attack broke.
        epsilon: float > 0. Radius of the attacks, as a fraction of the range.
        norm: str. `"linf"` or `"l2"`.
        value_range: pair of floats.
        seed: int32 tensor `(2,)`.
        averaged: bool. Whether the attacks average over predictions, so that
            random ones are no reason to doubt. Defaults to `False`.
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
        """Which images are classified right, bool `(count,)`."""
        return np.asarray(is_right(self.labels, self.outputs()))

    def outputs(self):
        """The logits of all images, computed anew, as an array."""
        return self._in_batches(lambda x, _, __: self.predict(x))

    def gradients(self, loss):
        """Gradients `(count, pixels)` of a loss, an array.

        Args:
            loss: function `(labels, logits) -> (batch,)`.
        """

        def gradient(images, labels, _):
            return input_gradient(
                lambda x: loss(labels, self.predict(x)), images
            )[1]

        gradients = self._in_batches(gradient)
        return gradients.reshape(len(gradients), -1)

    def withstands(self, among=None, **options):
        """Which images PGD on the margin does not break.

        On very confident predictions the cross-entropy is flat, the margin is
        not.

        Args:
            among: bool array `(count,)`. The images to attack. Defaults to
                those that are classified right.
            **options: arguments of `PGD`. It has 20 steps by default, which
                together are 2.5 radii long.

        Returns:
            bool array `(count,)`; false for all that are not attacked.
        """
        run = compiled(self._pgd(**options), self.predict)

        def holds(images, labels, seed):
            found = run(images, labels, seed)
            return is_right(labels, self.predict(found))

        left = np.array(self.right if among is None else among)
        left[left] = self._in_batches(holds, np.flatnonzero(left))
        return left

    def accuracy_by_epsilon(self):
        """Accuracy after PGD-20, by radius; at 0 without attack."""
        curve = {0.0: float(np.mean(self.right))}
        for factor in RELATIVE_EPSILONS:
            epsilon = factor * self.epsilon
            if self.norm == "linf" and epsilon > 1:
                break
            curve[epsilon] = float(np.mean(self.withstands(epsilon=epsilon)))
        return curve

    def accuracy_by_steps(self):
        """Accuracy after PGD, by number of steps."""
        return {
            float(steps): float(np.mean(self.withstands(steps=steps)))
            for steps in STEPS
        }

    def examples(self, count=8):
        """A few images before and after PGD-20.

        Args:
            count: int >= 1.

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
        """PGD on the margin; the steps together are 2.5 radii long."""
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
        """`function(images, labels, seed)` of all images or some, joined."""
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
    """`predict`, with a gradient of 0 instead of none."""

    def connected(images):
        axes = list(range(1, images.shape.rank))
        nothing = 0.0 * tf.reduce_sum(images, axes)
        return predict(tf.stop_gradient(images)) + nothing[:, tf.newaxis]

    return connected
