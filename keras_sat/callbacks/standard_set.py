"""The set of callbacks that a training of many hours should have."""

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
from keras_sat.training.surrounding_callback import SurroundingCallback


def standard(
    model,
    directory,
    validation_ds=None,
    resume_dir=None,
    save_freq="epoch",
    tensorboard=False,
    probe_batches=4,
):
    """Returns the callbacks that a long training needs, in the right order.

    They write to one folder:

    - `best.keras` and `best.json`: the epoch with the best
      `val_robust_accuracy`;
    - `log.csv`: what `fit` logs, a line for each epoch;
    - `images/`: pictures of adversarial images, after each epoch;
    - with `tensorboard=True`, scalars and pictures for it in `tensorboard/`;
    - `checkpoints/`: from which the same command goes on after a kill.

    Besides, `StopOnNonFinite` ends training whose loss is not finite, and
    `CatastrophicOverfitting` warns. While `fit` runs, no other process can
    write to that folder: hidden files in it hold it, and are removed in the
    end.

    Without validation there is no best epoch, no picture, and no warning of
    overfitting.

    Args:
        model: `SATModel` that is to be trained. One worker of several writes.
        directory: str or path-like. Only for this run; it is created.
        validation_ds: `tf.data.Dataset` of `(images, labels)` batches, the one
            that `fit` is given as `validation_data`. Defaults to `None`:
            training without validation.
        resume_dir: str or path-like. Where the checkpoints go instead, which
            all workers need to see. Defaults to the folder `checkpoints`.
        save_freq: `"epoch"`, or int >= 1. See `Resume`. Defaults to `"epoch"`.
        tensorboard: bool. Whether to write for TensorBoard, too. Defaults to
            `False`.
        probe_batches: int >= 1. The number of batches of `validation_ds` that
            `CatastrophicOverfitting` evaluates. Defaults to `4`.

    Returns:
        List of `keras.callbacks.Callback`.

    Raises:
        TypeError: If `validation_ds` is another kind of data.
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
    if not isinstance(validation_ds, tf.data.Dataset | None):
        checks.refuse(
            "validation_ds",
            "be a tf.data.Dataset of batches (images, labels), or None",
            checks.Described(f"a {type(validation_ds).__name__}"),
            "Of arrays: tf.data.Dataset.from_tensor_slices((images, labels))"
            ".batch(64).",
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
    validated = []
    if validation_ds is not None:
        validated = [
            CatastrophicOverfitting(validation_ds.take(probe_batches)),
            BestCheckpoint(path("best.keras")),
            AdversarialImages(
                validation_ds,
                path("tensorboard" if tensorboard else "images"),
                tensorboard=tensorboard,
            ),
        ]
    # The lock first, so that nothing is written without it; `Resume` last,
    # behind all that change the model.
    return [
        Writer(directory),
        StopOnNonFinite(),
        *validated,
        *logs,
        Resume(resume_dir or path("checkpoints"), save_freq),
    ]


class _Log(SurroundingCallback, keras.callbacks.CSVLogger):
    """A `CSVLogger` whose file is closed however training ends."""

    @contextlib.contextmanager
    def around_fit(self, model, dataset, steps_per_epoch=None):
        """See `SurroundingCallback.around_fit`."""
        try:
            yield None
        finally:
            if getattr(self, "csv_file", None):
                self.csv_file.close()
