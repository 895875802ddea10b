"""The base class of callbacks that begin before training and end after it."""

import contextlib

import keras


class SurroundingCallback(keras.callbacks.Callback):
    """A callback that surrounds `SATModel.fit`, however training ends.

    Keras calls `on_train_begin` when the first epoch is already chosen, and
    `on_train_end` only if training succeeds. What has to happen before, like
    the search for a checkpoint from an earlier `fit`, or in any case, like the
    release of a lock, belongs into `around_fit`.
    """

    @contextlib.contextmanager
    def around_fit(self, model, dataset, steps_per_epoch=None):
        """Surrounds the training of `SATModel.fit`; does nothing by default.

        Args:
            model: `SATModel` that trains.
            dataset: what `fit` trains on.
            steps_per_epoch: int. How many batches of the dataset are an epoch,
                or `None` for all of them.

        Yields:
            The epoch to begin with, or `None` to leave that to `fit`.
        """
        yield None
