"""Checks that workers train one model, and explains the loss of a worker."""

import contextlib

import tensorflow as tf

from keras_sat import checks
from keras_sat import distribution
from keras_sat.training import fingerprint


def check_same_on_all_workers(parts, strategy):
    """Refuses to train one model here and another one on another worker.

    Args:
        parts: dict that `ReplicatedModel.fingerprint` returned.
        strategy: `tf.distribute.Strategy` of several workers. All of them have
            to call this.

    Raises:
        ValueError: If a part differs between workers.
    """
    # Numbers can be gathered from other workers, and texts cannot.
    digests = [fingerprint.digest(part) for part in parts.values()]
    local = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant([digests], tf.int64)
    )
    everywhere = strategy.gather(local, axis=0).numpy()
    for name, column in zip(parts, everywhere.T, strict=True):
        if len(set(column)) > 1:
            checks.refuse(
                name,
                "be the same on all workers",
                checks.Described(
                    f"{len(set(column))} different ones; here: "
                    f"{parts[name]!r:.300}"
                ),
                "Start every worker by the same command.",
            )


@contextlib.contextmanager
def lost_workers_explained(strategy):
    """Replaces TensorFlow's error when another worker has ended.

    Args:
        strategy: `tf.distribute.Strategy`.

    Raises:
        RuntimeError: If TensorFlow raised an error on one of several workers.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not distribution.several_workers(strategy):
            raise
        lines = error.message.strip().splitlines()
        raise RuntimeError(
            "`fit` must reach all workers. Received from TensorFlow: "
            f"{type(error).__name__}: {lines[-1]:.300} "
            "Probably another worker has ended. Start all workers again by "
            "the same command: with `callbacks.Resume` they go on from the "
            "last checkpoint."
        ) from error
