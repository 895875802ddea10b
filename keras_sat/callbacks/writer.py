"""The base class of callbacks that write files."""

import contextlib

from keras_sat import distribution
from keras_sat import files
from keras_sat.training.surrounding_callback import SurroundingCallback


class Writer(SurroundingCallback):
    """A callback that alone writes to a path while `SATModel.fit` runs.

    Other processes are kept from writing there. One worker of several writes,
    and only that one holds the lock.

    Args:
        path: str or path-like. A folder, or a file.
        argument: str. The name of the argument that `path` was given as, for
            errors. Defaults to `"directory"`: `path` is a folder, and is
            created.
    """

    def __init__(self, path, argument="directory"):
        super().__init__()
        self._path = path
        self._argument = argument

    @contextlib.contextmanager
    def around_fit(self, model, dataset, steps_per_epoch=None):
        """Holds the lock; see `SurroundingCallback.around_fit`.

        Raises:
            ValueError: If another process writes there, or if it cannot be
                written.
        """
        if not distribution.is_chief(model.distribute_strategy):
            yield None
            return
        is_folder = self._argument == "directory"
        with files.alone(self._argument, self._path, inside=is_folder):
            self.remove_unfinished()
            yield None

    def remove_unfinished(self):
        """Removes the unfinished files of processes that were killed."""
