"""A callback that draws adversarial images after each epoch."""

import io
import os

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import distribution
from keras_sat import extras
from keras_sat import files
from keras_sat import plots
from keras_sat.callbacks.writer import Writer
from keras_sat.checks import datasets
from keras_sat.predictions.labels import class_ids
from keras_sat.preprocessing.value_range import to_float
from keras_sat.weights import averaging


class AdversarialImages(Writer):
    """Draws clean images, adversarial ones and their difference.

    After each epoch the same images are attacked by the `eval_attack` of the
    model. They are drawn with the classes that the model predicts for them.

    Args:
        dataset: `tf.data.Dataset` of `(images, labels)` batches. Its first
            images are drawn.
        directory: str or path-like. The folder in which the files
            `adversarial-0001.png` and so on are written; it is created.
        count: int >= 1. The number of images. Defaults to `8`.
        tensorboard: bool. Whether to write the pictures for TensorBoard, too,
            in the same folder. Defaults to `False`.
        class_names: sequence of str. Defaults to those of `dataset`, if it has
            any, else to the class numbers.

    Raises:
        ImportError: If matplotlib is missing, or, with `tensorboard=True`,
            TensorBoard.
        ValueError: If `dataset` is empty or has no labels; in `fit`, if its
            images or labels are not for the model, or if the directory cannot
            be written or another process writes there.

    Example:

    ```python
    images = keras_sat.callbacks.AdversarialImages(test_ds, "run/images")
    model.fit(train_ds, callbacks=[images])
    ```
    """

    def __init__(
        self, dataset, directory, count=8, tensorboard=False, class_names=None
    ):
        super().__init__(directory)
        checks.integer("count", count)
        with extras.needed("plots"):
            import matplotlib  # noqa: F401
        self.directory = checks.path("directory", directory)
        if class_names is None:
            class_names = getattr(dataset, "class_names", None)
        self.class_names = class_names
        self.count = count
        self._batches = _first_batches(dataset, count)
        self._writer = None
        if tensorboard:
            with extras.needed("tensorboard"):
                import tensorboard as _  # noqa: F401
            self._writer = tf.summary.create_file_writer(self.directory)

    def on_train_begin(self, logs=None):
        """Checks that the images are for this model."""
        for number, (images, labels) in enumerate(self._batches):
            self.model.expected_batches().check(images, labels, number=number)

    def on_epoch_end(self, epoch, logs=None):
        """Attacks the images, and draws them."""
        model = self.model
        images, labels = (
            np.concatenate(parts)[: self.count]
            for parts in zip(*self._batches, strict=True)
        )
        images = to_float(images, model.value_range)
        with averaging.averaged_weights(model):
            # The same seed each time: the pictures differ by the weights only.
            adversarial = model.eval_attack(model.model, images, labels, (0, 0))
            predicted = [
                np.argmax(model.model(x, training=False), axis=-1)
                for x in (images, adversarial)
            ]
        # All workers attack, as variables are read by all of them or by none.
        if not distribution.is_chief(model.distribute_strategy):
            return
        figure = plots.perturbation_grid(
            np.asarray(images),
            np.asarray(adversarial),
            np.asarray(class_ids(labels)),
            *predicted,
            class_names=self.class_names,
            value_range=model.value_range,
        )
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        os.makedirs(self.directory, exist_ok=True)
        name = f"adversarial-{epoch + 1:04}.png"
        files.write(
            os.path.join(self.directory, name),
            lambda file: file.write(picture.getvalue()),
        )
        if self._writer:
            pixels = tf.io.decode_png(picture.getvalue(), channels=3)
            with self._writer.as_default():
                tf.summary.image("adversarial", pixels[None], step=epoch)
            self._writer.flush()

    def remove_unfinished(self):
        """See `Writer.remove_unfinished`."""
        files.remove_unfinished(self.directory, "adversarial-*.png")


def _first_batches(dataset, count):
    """Returns the first batches of a dataset, with at least `count` images.

    Args:
        dataset: `tf.data.Dataset` of `(images, labels)` batches.
        count: int. All batches are returned if they have fewer images.

    Returns:
        List of pairs of arrays.
    """
    batches, size = [], 0
    for batch in dataset:
        images, labels, _ = datasets.unpack_batch(batch)
        batches.append((np.asarray(images), np.asarray(labels)))
        size += len(batches[-1][0])
        if size >= count:
            break
    if not batches:
        checks.refuse("dataset", "not be empty", checks.Described("none"))
    return batches
