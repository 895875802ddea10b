"""Corrections of Keras 3, for several workers and for mixed precisions.

Keras fails twice under `MultiWorkerMirroredStrategy`: it reduces the first
batch outside of a function, and it reduces logs along a dimension that scalars
do not have. See https://github.com/keras-team/keras/issues/20585. A test fails
as soon as Keras can do without that part of this file.
"""

import keras
import tensorflow as tf

from keras_sat.distribution import several_workers


class KerasGaps:
    """Mixin of a `keras.Model` that corrects what Keras itself does wrong."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Lets Keras build the model on a batch; see `keras.Model`."""
        strategy = self.distribute_strategy
        if iterator is not None and several_workers(strategy):
            # The batch of one replica tells all shapes, and is not reduced.
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(
                lambda v: strategy.experimental_local_results(v)[0],
                next(batches),
            )
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def reducible(self, logs):
        """Returns logs of a step in a form that Keras averages over workers.

        Args:
            logs: dict from names to scalar tensors.
        """
        if not several_workers(self.distribute_strategy):
            return logs
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    def _aggregate_additional_loss(self, loss):
        """Returns the loss of a layer, as it is added to the others."""
        # Keras adds up the losses of layers, which may have several precisions,
        # without a cast.
        loss = super()._aggregate_additional_loss(loss)
        return tf.cast(loss, keras.config.floatx())
