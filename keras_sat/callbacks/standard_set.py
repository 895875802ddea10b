"""The callbacks that a training of many hours should have."""

import contextlib
import os

import keras
import tensorflow as tf

from keras_sat import checks
from keras_sat import distribution
from keras_sat import files
from keras_sat.callbacks.adversarial_images import AdversarialImages
from keras_sat.callbacks.best_checkpoint import BestCheckpoint
from keras_sat.callbacks.catastrophic_overfitting import CatastrophicOverfitting
from keras_sat.callbacks.resume import Resume
from keras_sat.callbacks.stop_on_non_finite import StopOnNonFinite
from keras_sat.callbacks.writer import Writer


def standard(
    model,
    directory,
    validation_ds,
    resume_dir=None,
    save_freq="epoch",
    tensorboard=False,
    probe_batches=4,
):
    """Everything a long training needs, in the right order, in one folder.

    - `StopOnNonFinite` and `CatastrophicOverfitting`, which warns;
    - `best.keras` and `best.json`: the epoch with the best
      `val_robust_accuracy`;
    - `log.csv`: what `fit` logs, a line for each epoch;
    - `images/`: pictures of adversarial images, after each epoch;
    - with `tensorboard=True`, scalars and pictures for it in `tensorboard/`;
    - `checkpoints/`: from which the same command goes on after a kill.

    While `fit` runs, no other process can write to that folder: hidden files
    in it say so, and are removed in the end.

    Args:
        model: `SATModel` that is to be trained. One worker of several writes.
        directory: str or path-like. Only for this run; it is created.
        validation_ds: `tf.data.Dataset` of `(images, labels)` batches, the one
            that `fit` is given as `validation_data`.
        resume_dir: str or path-like. Where the checkpoints go instead, which
            all workers need to see. Defaults to the folder `checkpoints`.
        save_freq: see `Resume`. Defaults to `"epoch"`.
        tensorboard: bool. Defaults to `False`.
        probe_batches: int >= 1. Batches of `validation_ds` on which
            `CatastrophicOverfitting` looks. Defaults to `4`.

    Returns:
        List of `keras.callbacks.Callback`.

    Raises:
        TypeError: If `validation_ds` is no `tf.data.Dataset`.
        ImportError: If matplotlib is missing, or TensorBoard if that is asked
            for.
        ValueError: If the folder cannot be written; in `fit`, if another
            process writes there.

    Example:

    ```python
    callbacks = keras_sat.callbacks.standard(model, "run", test_ds)
    model.fit(train_ds, validation_data=test_ds, callbacks=callbacks)
    ```
    """
    directory = checks.path("directory", directory)
    if not isinstance(validation_ds, tf.data.Dataset):
        checks.refuse(
            "validation_ds",
            "be a tf.data.Dataset of batches (images, labels)",
            validation_ds,
            error=TypeError,
        )

    def path(*names):
        return os.path.join(directory, *names)

    files.folder_to_write("directory", directory)
    logs = []
    if distribution.is_chief(model.distribute_strategy):
        logs.append(_Log(path("log.csv"), append=True))
        if tensorboard:
            logs.append(keras.callbacks.TensorBoard(path("tensorboard")))
    return [
        Writer(directory),
        StopOnNonFinite(),
        CatastrophicOverfitting(validation_ds.take(probe_batches)),
        BestCheckpoint(path("best.keras")),
        AdversarialImages(
            validation_ds,
            path("tensorboard" if tensorboard else "images"),
            tensorboard=tensorboard,
        ),
        *logs,
        Resume(resume_dir or path("checkpoints"), save_freq),
    ]


class _Log(keras.callbacks.CSVLogger):
    """A `CSVLogger` whose file is closed however training ends."""

    @contextlib.contextmanager
    def session(self, model, dataset, steps_per_epoch=None):
        """Surrounds the training of `SATModel.fit`; see `Resume.session`."""
        try:
            yield None
        finally:
            if getattr(self, "csv_file", None):
                self.csv_file.close()
