"""Training that goes on where it was, after its process was killed."""

import contextlib
import os
import signal
import threading

import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import distribution
from keras_sat import files
from keras_sat.callbacks import training_state
from keras_sat.callbacks.writer import Writer
from keras_sat.training.fingerprint import training_settings

# The exit code of a run that SIGTERM ended after its state was saved: that of
# a failure which may be gone at the next try, EX_TEMPFAIL.
PREEMPTED = 75
_INTERRUPTED = (
    b"\nTraining is saved after this step and ends; Ctrl-C ends it at once.\n"
)


class Resume(Writer):
    """Saves the state of training, and goes on from it after a kill.

    Started again by the same command, `SATModel.fit` continues at the epoch and
    step of the last checkpoint, with weights, optimizer, moving averages,
    random seeds and metrics as they were. A `tf.data.Dataset` goes on where it
    was, if it is shuffled with a seed: it is started once for each past epoch,
    which those of `keras_sat.data` do not need, and the steps of the
    interrupted one are read again without training on them. Arrays, which Keras
    shuffles itself, go on in another order; so does a dataset of another origin
    on several workers.

    Checkpoints are written whole or not at all. One that was damaged is named
    in a warning, and the one before it is used. State that is not finite is
    never saved. One worker of several writes; all of them need to see the
    directory.

    On SIGTERM training is saved after the current step, of validation too, and
    the process exits with the code `PREEMPTED` (75). On SIGINT (Ctrl-C) it is
    saved, too, and then `KeyboardInterrupt` is raised as usual; a second one is
    raised at once. If one of several workers is told so, all do it.

    Not saved: the state of other callbacks, and, for the epoch that was
    interrupted, the `metrics` given to `compile`. Put it behind callbacks that
    change the model.

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
        self._settings = None
        self._found = None
        self._past = 0
        self._skip = 0
        self._epoch = 0
        self._signal = None

    @contextlib.contextmanager
    def session(self, model, dataset, steps_per_epoch=None):
        """What `SATModel.fit` trains in.

        Args:
            model: `SATModel`.
            dataset: what `fit` trains on. A `tf.data.Dataset` is brought to
                where it was.
            steps_per_epoch: int, or `None`.

        Yields:
            The epoch to begin with, or `None` if there is no checkpoint.
        """
        with super().session(model, dataset, steps_per_epoch):
            self._look_for_checkpoint(model, dataset, steps_per_epoch)
            with self._notes_signals():
                try:
                    yield self._found.epoch if self._found else None
                finally:
                    # A later call of `fit` trains from its first step.
                    model.train_function = None

    def _look_for_checkpoint(self, model, dataset, steps_per_epoch):
        self.set_model(model)
        self._settings = training_settings(model)
        self._found = training_state.newest(self.directory, self._settings)
        self._past, self._skip = 0, 0
        if self._found:
            self._skip = self._found.step
            if steps_per_epoch:
                # Keras then reads on from epoch to epoch.
                self._past = self._found.epoch * steps_per_epoch
            else:
                _start_again(dataset, self._found.epoch)

    def on_train_begin(self, logs=None):
        """Restores the state."""
        if self._found:
            training_state.restore(self.model, self._found)
            self.model.train_function = self._after_skipped_steps(
                self.model.train_function
            )

    def on_epoch_begin(self, epoch, logs=None):
        """Restores the metrics, which Keras has just reset."""
        self._epoch = epoch
        if self._found and self._skip:
            training_state.restore_metrics(self.model, self._found)
        self._found = None

    def on_train_batch_end(self, batch, logs=None):
        """Saves, if it is time."""
        step = batch + 1
        if self._skip:
            return
        self._end_if_told(self._epoch, step)
        if self.save_freq != "epoch" and step % self.save_freq == 0:
            self._save(self._epoch, step)

    def on_test_batch_end(self, batch, logs=None):
        """Saves, if validation is cut short."""
        self._end_if_told(self._epoch + 1, 0)

    def on_epoch_end(self, epoch, logs=None):
        """Saves the state with which the next epoch begins."""
        self._save(epoch + 1, 0)

    def on_train_end(self, logs=None):
        """Ends, if that was asked for after the last step."""
        # It is saved, and the weights may be averages by now.
        self._end_if_told()

    def remove_unfinished(self):
        """Removes what processes that were killed have left there."""
        files.remove_unfinished(self.directory, "checkpoint-*.npz")

    @property
    def _strategy(self):
        return self.model.distribute_strategy

    @contextlib.contextmanager
    def _notes_signals(self):
        """Notes signals instead of ending at once, where Python lets us."""
        self._signal = None
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number, frame):
            if number == signal.SIGINT:
                if self._signal == number:
                    signal.default_int_handler(number, frame)
                # Other ways of printing may be what it interrupts.
                with contextlib.suppress(OSError):
                    os.write(2, _INTERRUPTED)
            self._signal = number

        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, note)}
        # Who has a handler of his own, or ignores it, means that.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _after_skipped_steps(self, train):
        """The function that trains, once past steps have been read again."""

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
        """Ends after a signal, saved if there is a position to go on from."""
        told = self._signal is not None
        if not distribution.on_any_worker(self._strategy, told):
            return
        interrupted = distribution.on_any_worker(
            self._strategy, self._signal == signal.SIGINT
        )
        if position:
            self._save(*position)
            logging.warning(
                "%s: training is saved at epoch %d, step %d, and ends.",
                "SIGINT" if interrupted else "SIGTERM",
                *position,
            )
        if interrupted:
            raise KeyboardInterrupt
        raise SystemExit(PREEMPTED)

    def _save(self, epoch, step):
        training_state.save(
            self.model,
            self.directory,
            self._settings,
            (epoch, step),
            keep=self.keep,
            write=distribution.is_chief(self._strategy),
        )


def _start_again(dataset, epochs):
    """Draws the seeds of past epochs, so that the next one is another."""
    if hasattr(dataset, "epoch"):
        # Those of `keras_sat.data` are told.
        dataset.epoch.assign_add(epochs)
        return
    if not isinstance(dataset, tf.data.Dataset):
        return
    for _ in range(epochs):
        next(iter(dataset), None)
        if dataset.cardinality() >= 0:
            # Keras starts those of known length twice in an epoch.
            iter(dataset)
