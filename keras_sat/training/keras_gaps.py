"""What Keras 3 lacks to train on several workers.

Keras fails twice under `MultiWorkerMirroredStrategy`: it reduces the first
batch outside of a function, and it reduces logs along a dimension that scalars
do not have. See https://github.com/keras-team/keras/issues/20585. A test fails
when Keras can do without this file.
"""

import tensorflow as tf

from keras_sat.distribution import several_workers


class WorkerGaps:
    """Mixin of a `keras.Model` that fills the gaps."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if iterator is not None and several_workers(strategy):
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(
                lambda v: strategy.experimental_local_results(v)[0],
                next(batches),
            )
            iterator = None
        super()._maybe_symbolic_build(iterator, data_batch)

    def reducible(self, logs):
        """Logs of a step, in a form that Keras can average over workers."""
        if not several_workers(self.distribute_strategy):
            return logs
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}
