"""The classifier under evaluation: its logits, range, strategy and XLA."""

import functools

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.attacks import losses
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.network import compiled_network
from keras_sat.checks.batches import batch_spec
from keras_sat.distribution import current_strategy
from keras_sat.distribution import xla
from keras_sat.predictions.inference import inference
from keras_sat.predictions.labels import is_right
from keras_sat.predictions.labels import predicted_classes

# Images that leave `value_range` by a larger share of its width are refused:
# they are probably meant for another range.
SLACK = 0.1


class EvaluatedModel:
    """A classifier with all that an evaluation has to know of it.

    Args:
        model: `keras.Model`, or function, from images to logits.
        value_range: pair of floats. Black and white in the images that it
            takes. Defaults to that of a `SATModel`, or `(0.0, 1.0)`.
        jit_compile: bool or `"auto"`. Whether attacks on it use XLA; `"auto"`
            uses XLA where there is an accelerator. Defaults to `"auto"`.

    Raises:
        TypeError: If `model` is no classifier.
        ValueError: If an argument is out of range, or if the model was built
            under another strategy than the current one.
    """

    def __init__(self, model, value_range=None, jit_compile="auto"):
        checks.attackable("model", model)
        if value_range is None:
            value_range = getattr(model, "value_range", (0.0, 1.0))
        checks.value_range(value_range)
        self.model = model
        self.value_range = tuple(value_range)
        self.strategy = current_strategy(model)
        self.jit_compile = jit_compile
        self.uses_xla = xla.wanted(jit_compile, model)
        self.expected_batches = batch_spec(model, self.value_range, slack=SLACK)
        self.predict = inference(model)
        # Known with the first batch; with XLA, all others are filled up to it.
        self.batch_size = None

    @functools.cached_property
    def network(self):
        """The `CompiledNetwork` that all attacks on the model share."""
        with self.strategy.scope():
            if hasattr(self.model, "variables"):
                return compiled_network(self.model, self.jit_compile)
            # What a plain function computes may have changed since the last
            # evaluation, and nothing would tell.
            return CompiledNetwork(self.model, self.jit_compile)

    def logits(self, images):
        """Returns the logits of float32 images, as an array.

        Args:
            images: float32 array `(batch, ...)` in `value_range`.

        Raises:
            ValueError: If the model returns something else than logits.
        """
        logits = self.in_batches(self.network, images)
        checks.logits("model", logits, len(images))
        return logits

    def in_batches(self, function, *arrays):
        """Returns what a function gives for arrays, batch by batch, joined.

        With XLA, which compiles each size, all batches are filled up to the
        first one that was ever given.

        Args:
            function: callable of tensors `(batch, ...)`, to one of them.
            *arrays: arrays `(count, ...)`.

        Returns:
            Array `(count, ...)`.
        """
        count = len(arrays[0])
        if self.batch_size is None:
            self.batch_size = count
        parts = []
        with self.strategy.scope():
            for first in range(0, max(count, 1), self.batch_size):
                rows = np.arange(first, min(first + self.batch_size, count))
                filled = rows
                if self.network.uses_xla:
                    filled = np.resize(rows, self.batch_size)
                given = (
                    tf.convert_to_tensor(array[filled]) for array in arrays
                )
                parts.append(np.asarray(function(*given))[: len(rows)])
        return np.concatenate(parts)

    def is_right(self, images, labels):
        """Returns which images are classified right, bool `(batch,)`.

        Args:
            images: float32 array `(batch, ...)` in `value_range`.
            labels: int array `(batch,)`.
        """
        return np.asarray(is_right(labels, self.logits(images)))

    def predictions(self, images, labels):
        """Returns the classes that are predicted, and the leads of the right.

        Args:
            images: float32 array `(batch, ...)` in `value_range`.
            labels: int array `(batch,)`.

        Returns:
            int32 array `(batch,)`, and float32 array `(batch,)`: the logit of
            the right class minus the largest other one. It is negative if
            another class is predicted, and minus infinity if the logits are no
            numbers.
        """
        logits = self.logits(images)
        predicted = np.asarray(predicted_classes(logits))
        leads = -np.asarray(losses.margin(labels, logits))
        return predicted, np.where(np.isnan(leads), -np.inf, leads)
