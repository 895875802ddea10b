"""The base of callbacks that write files."""

import contextlib

import keras

from keras_sat import distribution
from keras_sat import files


class Writer(keras.callbacks.Callback):
    """Lets no other process write to the same place while `SATModel.fit` runs.

    One worker of several writes, and so one alone holds the lock.

    Args:
        path: str or path-like. A folder, or a file.
        name: str. The argument that it was given as. Defaults to
            `"directory"`, a folder that is created.
    """

    def __init__(self, path, name="directory"):
        super().__init__()
        self._place = name, path

    @contextlib.contextmanager
    def session(self, model, dataset, steps_per_epoch=None):
        """Surrounds the training of `SATModel.fit`; see `Resume.session`.

        Raises:
            ValueError: If another process writes there, or if it cannot be
                written.
        """
        name, path = self._place
        if not distribution.is_chief(model.distribute_strategy):
            yield None
            return
        with files.alone(name, path, inside=name == "directory"):
            self.remove_unfinished()
            yield None

    def remove_unfinished(self):
        """Removes what processes that were killed have left there."""
