"""A callback that saves training, and goes on with it after a kill."""

import contextlib
import signal

import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import distribution
from keras_sat import files
from keras_sat import programs
from keras_sat.callbacks import training_state
from keras_sat.callbacks.stop_signals import StopSignals
from keras_sat.callbacks.writer import Writer

# The exit code of a run that SIGTERM ended after its state was saved. Shells
# know it as EX_TEMPFAIL, a failure that may be gone at the next try.
PREEMPTED = 75


class Resume(Writer):
    """Saves the state of training, and goes on from it after a kill.

    Started again by the same command, `SATModel.fit` continues at the epoch and
    step of the last checkpoint, with the weights, optimizer, moving averages,
    random seeds and metrics of that step. A `tf.data.Dataset` that is shuffled
    with a seed continues, too: it is started once for each past epoch, which
    those of `keras_sat.data` do not need, and the steps of the interrupted
    epoch are read again without training on them. Arrays, which Keras shuffles
    itself, go on in another order; so does a dataset of another origin on
    several workers.

    A checkpoint is written whole or not at all. If the newest is damaged, a
    warning names it, and the one before it is used. A state that is not finite
    is never saved. One worker of several writes; all of them need to see the
    directory.

    On SIGTERM training is saved after the current step, during validation too,
    and the process exits with the code `PREEMPTED` (75). On SIGINT (Ctrl-C) it
    is saved, too, and then `KeyboardInterrupt` is raised as usual; a second
    SIGINT raises it at once. If one of several workers receives a signal, all
    of them save and end.

    The state of other callbacks is not saved; nor, for the epoch that was
    interrupted, that of the `metrics` given to `compile`. Put this callback
    after those that change the model.

    Args:
        directory: str or path-like. Only for this run; it is created.
        save_freq: `"epoch"`, or int >= 1: the steps between checkpoints, which
            are also saved at the end of each epoch. Defaults to `"epoch"`.
        keep: int >= 1. The number of checkpoints to keep. Defaults to `2`.

    Raises:
        ValueError: In `fit`, if the directory holds checkpoints of another
            model or recipe, or none that can be read, if it cannot be written,
            or if another process trains in it.
        KeyboardInterrupt: In `fit`, on SIGINT, after training is saved.
        OSError: In `fit`, if a checkpoint cannot be written. Those before it
            are left as they are.

    Example:

    ```python
    model.fit(ds, epochs=100, callbacks=[keras_sat.callbacks.Resume("run")])
    ```
    """

    def __init__(self, directory, save_freq="epoch", keep=2):
        super().__init__(directory)
        if save_freq != "epoch":
            checks.integer("save_freq", save_freq)
        checks.integer("keep", keep)
        self.directory = checks.path("directory", directory)
        self.save_freq = save_freq
        self.keep = keep
        self._signals = StopSignals()
        self._fingerprint = None
        # The checkpoint that this `fit` begins with, if there is one.
        self._found = None
        # How many steps are still to be read again: of past epochs, and of the
        # interrupted one, which Keras counts.
        self._past = 0
        self._skip = 0
        self._epoch = 0

    @contextlib.contextmanager
    def around_fit(self, model, dataset, steps_per_epoch=None):
        """Looks for a checkpoint, and notes signals while `fit` runs.

        Args:
            model: `SATModel`.
            dataset: what `fit` trains on. A `tf.data.Dataset` is brought to the
                epoch of the checkpoint.
            steps_per_epoch: int, or `None`.

        Yields:
            The epoch to begin with, or `None` if there is no checkpoint.
        """
        with super().around_fit(model, dataset, steps_per_epoch):
            self._look_for_checkpoint(model, dataset, steps_per_epoch)
            with self._signals.noted():
                try:
                    yield self._found.epoch if self._found else None
                finally:
                    # The function may still skip steps: a later call of `fit`
                    # trains from its first step.
                    model.train_function = None

    def _look_for_checkpoint(self, model, dataset, steps_per_epoch):
        """Reads the newest checkpoint, and brings the dataset to its epoch."""
        self.set_model(model)
        self._fingerprint = model.fingerprint()
        self._found = training_state.newest(self.directory, self._fingerprint)
        self._past, self._skip = 0, 0
        if self._found:
            self._skip = self._found.step
            if steps_per_epoch:
                # Keras then reads on from epoch to epoch.
                self._past = self._found.epoch * steps_per_epoch
            else:
                _start_epochs(dataset, self._found.epoch)

    def on_train_begin(self, logs=None):
        """Restores the state, and says so."""
        if self._found:
            if self.params.get("verbose"):
                programs.say(self._where())
            training_state.restore(self.model, self._found)
            self.model.train_function = self._after_skipped_steps(
                self.model.train_function
            )

    def _where(self):
        """Returns where training goes on, in the numbers that Keras shows."""
        epoch, step = self._found.epoch, self._found.step
        epochs = self.params["epochs"]
        saved = f"saved in {self.directory!r}"
        if epoch >= epochs:
            return f"Training is finished already: {epoch}/{epochs}, {saved}."
        place = f"epoch {epoch + 1}/{epochs}"
        if step:
            place += f" after step {step}"
        return f"Training goes on from {place}, {saved}."

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the metrics, which Keras has just reset."""
        self._epoch = epoch
        if self._found and self._skip:
            training_state.restore_metrics(self.model, self._found)
        self._found = None

    def on_train_batch_end(self, batch, logs=None):
        """Saves after every `save_freq` steps, and after a signal."""
        step = batch + 1
        if self._skip:
            return
        self._end_if_told(self._epoch, step)
        if self.save_freq != "epoch" and step % self.save_freq == 0:
            self._save(self._epoch, step)

    def on_test_batch_end(self, batch, logs=None):
        """Saves after a signal, without the rest of the validation."""
        self._end_if_told(self._epoch + 1, 0)

    def on_epoch_end(self, epoch, logs=None):
        """Saves the state with which the next epoch begins."""
        self._save(epoch + 1, 0)

    def on_train_end(self, logs=None):
        """Ends after a signal that came after the last step."""
        # It is saved, and the weights may be averages by now.
        self._end_if_told()

    def remove_unfinished(self):
        """See `Writer.remove_unfinished`."""
        files.remove_unfinished(self.directory, "checkpoint-*.npz")

    @property
    def _strategy(self):
        """The strategy that trains the model."""
        return self.model.distribute_strategy

    def _after_skipped_steps(self, train):
        """Returns a function that trains, once past steps are read again.

        Args:
            train: callable from an iterator to logs.
        """

        def function(iterator):
            for _ in range(self._past):
                next(iterator)
            self._past = 0
            if not self._skip:
                return train(iterator)
            for _ in range(min(self.model.steps_per_execution, self._skip)):
                next(iterator)
                self._skip -= 1
            return self.model.get_metrics_result()

        return function

    def _end_if_told(self, *position):
        """Ends the process if a worker has received a signal.

        Args:
            *position: epoch and step to go on from, with which training is
                saved before. Without them nothing is saved.
        """
        told = self._signals.received is not None
        # All workers have to ask together, and so to end together.
        if not distribution.on_any_worker(self._strategy, told):
            return
        interrupted = distribution.on_any_worker(
            self._strategy, self._signals.received == signal.SIGINT
        )
        if position:
            self._save(*position)
            epoch, step = position
            logging.warning(
                "%s: training is saved at epoch %d, step %d, and ends.",
                "SIGINT" if interrupted else "SIGTERM",
                epoch + 1,
                step,
            )
        if interrupted:
            raise KeyboardInterrupt
        raise SystemExit(PREEMPTED)

    def _save(self, epoch, step):
        """Saves a checkpoint; see `training_state.save`."""
        training_state.save(
            self.model,
            self.directory,
            self._fingerprint,
            (epoch, step),
            keep=self.keep,
            write=distribution.is_chief(self._strategy),
        )


def _start_epochs(dataset, epochs):
    """Starts past epochs of a dataset, so that the next one is another.

    A dataset that is shuffled draws a new seed whenever it is started.

    Args:
        dataset: what `fit` trains on.
        epochs: int. The number of past epochs.
    """
    if hasattr(dataset, "epoch"):
        # Datasets of `keras_sat.data` count their epochs themselves.
        dataset.epoch.assign_add(epochs)
        return
    if not isinstance(dataset, tf.data.Dataset):
        return
    for _ in range(epochs):
        next(iter(dataset), None)
        if dataset.cardinality() >= 0:
            # Keras starts those of known length twice in an epoch.
            iter(dataset)
