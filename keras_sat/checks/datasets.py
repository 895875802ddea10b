"""Checks of arrays, datasets and generators that batches come from."""

import contextlib
import itertools
import re
import types

import keras
import numpy as np
import tensorflow as tf

from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse

# What pipelines of `data` say of a file that they cannot decode, before its
# path.
UNDECODABLE = "Cannot decode the image"


@contextlib.contextmanager
def naming_broken_images():
    """Turns TensorFlow's error about a broken image into one about its file.

    The error of a pipeline tells of the operations around it, many times.

    Raises:
        ValueError: With the path, if an image cannot be decoded.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"\[{UNDECODABLE}\] \[(.*)\]", error.message)
        if not found:
            raise
        try:
            _refuse_broken(found[1])
        except ValueError as refused:
            # Without the error of TensorFlow, which fills a screen.
            raise refused from None


def _refuse_broken(path):
    """Refuses a dataset with a file that is no image."""
    refuse(
        "dataset",
        "give images that can be decoded",
        Described(f"the broken file {path!r}"),
        "Remove it, or leave out such files with corrupt='skip'; "
        "`data.check_folder` lists them all.",
    )


def elements(dataset):
    """Yields what a dataset gives; see `naming_broken_images`.

    Args:
        dataset: iterable.
    """
    iterator, end = iter(dataset), object()
    while True:
        with naming_broken_images():
            element = next(iterator, end)
        if element is end:
            return
        yield element


class BatchGuard:
    """A guard that checks batches, and keeps the errors of those it refuses.

    An error inside an input pipeline reaches the reader of the pipeline as an
    error of TensorFlow. `original_errors` raises the original error instead.

    Args:
        expected: `batches.BatchSpec`.
        every_batch: bool. Whether to check all batches of a dataset, rather
            than the first one. Arrays are checked whole. Defaults to `True`.
    """

    def __init__(self, expected, every_batch=True):
        self.expected = expected
        self.every_batch = every_batch
        self._refused = {}
        self._first = None, None, None

    def checked(self, x, y=None, weights=None, steps=None, name="x"):
        """Checks the first batch of `x`, and lets the others be checked later.

        Args:
            x: array of images, `tf.data.Dataset`, `keras.utils.PyDataset` or
                generator of `(images, labels[, weights])` batches.
            y: array of labels, if `x` is one of images.
            weights: array of sample weights, if `x` is an array of images.
            steps: int. Number of batches that are read. Defaults to all.
            name: str. The argument, for errors.

        Returns:
            An object that gives the same batches as `x`, each of them checked.

        Raises:
            TypeError: If images or labels have a type that cannot be used.
            ValueError: If there is no batch, no end, or no label, or if shapes
                or values are wrong.
        """
        _check_no_more(name, x, {"y": y, "sample_weight": weights})
        if steps is None:
            check_finite(name, x, "Give the number of steps, or `.take(n)`.")
        with naming_broken_images():
            first, x = _first_batch(x, y, weights)
        if first is None:
            refuse("dataset", "not be empty", Described("no batch"))
        self._first = unpack_batch(first, self.expected.labelled)
        self.expected.check(*self._first)
        if not self.every_batch:
            return x
        if isinstance(x, tf.data.Dataset):
            return self._checked_dataset(x)
        if isinstance(x, keras.utils.PyDataset):
            return _CheckedPyDataset(x, self)
        if isinstance(x, types.GeneratorType):
            return (self.check_element(i, batch) for i, batch in enumerate(x))
        return x

    @property
    def first_images(self):
        """Returns the images of the first batch."""
        return self._first[0]

    def check_element(self, number, batch):
        """Checks one batch and returns it.

        Args:
            number: int >= 0. Its number, counted from 0.
            batch: tuple of arrays, or array.
        """
        try:
            unpacked = unpack_batch(batch, self.expected.labelled)
            self.expected.check(*unpacked, number)
            self._check_alike(number, *unpacked[:2])
        except (TypeError, ValueError) as error:
            self._refused[number] = error
            raise
        return batch

    @contextlib.contextmanager
    def original_errors(self):
        """Raises the original error of a batch that was refused in a pipeline.

        TensorFlow tells only that a function of Python failed.
        """
        with naming_broken_images():
            try:
                yield
            except (tf.errors.OpError, RuntimeError):
                self.raise_refused()
                raise

    def raise_refused(self):
        """Raises the error about the first batch that was refused, if any."""
        if self._refused:
            raise self._refused[min(self._refused)] from None

    def _check_alike(self, number, images, labels):
        """Refuses images and labels that are not of the kind of batch 0.

        Keras traces its step for batch 0, and would cast uint8 images to floats
        without scaling them.
        """
        first_images, first_labels, _ = self._first
        kinds = [np.asarray(i).dtype for i in (first_images, images)]
        ranks = [0, 0]
        if self.expected.labelled:
            ranks = [np.ndim(labels) for labels in (first_labels, labels)]
        integers = [kind == np.uint8 for kind in kinds]
        if len(set(integers)) > 1 or len(set(ranks)) > 1:
            refuse(
                "dataset",
                "give images of one dtype, and labels of one kind",
                Described(
                    f"images of {kinds[0]} and {kinds[1]}, labels of "
                    f"{ranks[0]} and {ranks[1]} dimensions, in batch 0 and "
                    f"{number}"
                ),
            )

    def _checked_dataset(self, dataset):
        """Returns a dataset whose batches the CPU checks in advance."""

        def checked(number, batch):
            parts = unpack_batch(batch, labelled=False)
            given = [part for part in parts if part is not None]
            tf.numpy_function(self._check_numbered, [number, *given], [])
            # The checks have found these shapes, even if the dataset does not
            # tell them.
            for part, first in zip(given, self._first, strict=False):
                if part.shape.rank is None and first is not None:
                    part.set_shape([None, *np.shape(first)[1:]])
            return batch

        result = dataset.enumerate().map(
            lambda number, *batch: checked(
                number, batch[0] if len(batch) == 1 else batch
            )
        )
        result = result.prefetch(1)
        if hasattr(dataset, "epoch"):
            # Callbacks set the epoch of datasets of `keras_sat.data`.
            result.epoch = dataset.epoch
        return result

    def _check_numbered(self, number, *batch):
        self.check_element(int(number), batch)


class _CheckedPyDataset(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` whose batches are checked."""

    def __init__(self, dataset, guard):
        super().__init__(
            dataset.workers,
            dataset.use_multiprocessing,
            dataset.max_queue_size,
        )
        self._dataset = dataset
        self._guard = guard

    def __getitem__(self, index):
        return self._guard.check_element(index, self._dataset[index])

    @property
    def num_batches(self):
        return self._dataset.num_batches

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._dataset.on_epoch_end()


def unpack_batch(batch, labelled=True):
    """Returns images, labels and weights of a batch, or `None` without them.

    Args:
        batch: array or tuple of arrays, an element of a dataset.
        labelled: bool. Whether labels are needed. Defaults to `True`.

    Raises:
        TypeError: If it is a dictionary.
        ValueError: If labels are needed, and there are none.
    """
    if isinstance(batch, list):
        batch = tuple(batch)
    if isinstance(batch, dict):
        keys = sorted(map(str, batch))
        names = [*keys, "label"][:2]
        images = next((k for k in keys if "image" in k), names[0])
        labels = next((k for k in keys if "label" in k), names[1])
        refuse(
            "dataset",
            "give batches (images, labels)",
            Described(f"a dictionary with the keys {keys}"),
            f"Map it: `dataset.map(lambda batch: (batch[{images!r}], "
            f"batch[{labels!r}]))`.",
            TypeError,
        )
    if isinstance(batch, tuple) and not 1 <= len(batch) <= 3:
        refuse(
            "dataset",
            "give batches (images, labels)",
            Described(f"tuples of {len(batch)}"),
        )
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
    if labelled and labels is None:
        refuse(
            "dataset",
            "give batches (images, labels)",
            Described("batches without labels"),
        )
    return images, labels, weights


def _check_no_more(name, x, others):
    """Refuses labels or weights besides a dataset, which has its own."""
    kinds = (
        tf.data.Dataset,
        tf.distribute.DistributedDataset,
        keras.utils.PyDataset,
        types.GeneratorType,
    )
    for other, value in others.items():
        if isinstance(x, kinds) and value is not None:
            refuse(
                other,
                f"be None where `{name}` gives batches (images, labels)",
                Described(f"a {type(value).__name__}"),
            )


def check_finite(name, dataset, fix="Take a part of it with `.take(n)`."):
    """Refuses a dataset that is known never to end.

    Args:
        name: str. The argument.
        dataset: array, dataset or generator.
        fix: str. A sentence that says what the user can do.
    """
    endless = (
        isinstance(dataset, tf.data.Dataset)
        and dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    ) or (
        isinstance(dataset, keras.utils.PyDataset)
        and dataset.num_batches is None
    )
    if endless:
        refuse(name, "be finite", Described("a dataset without an end"), fix)


def _first_batch(x, y, weights):
    """Returns the first batch, and an object that still gives all of them."""
    if isinstance(x, keras.utils.PyDataset):
        return (None if x.num_batches == 0 else x[0]), x
    if isinstance(x, types.GeneratorType):
        first = next(x, None)
        return first, (element for element in itertools.chain([first], x))
    if isinstance(x, tf.data.Dataset):
        return next(iter(x.take(1)), None), x
    if isinstance(x, tf.distribute.DistributedDataset):
        first = next(iter(x), None)
        return tf.nest.map_structure(_of_one_replica, first), x
    return (x, y, weights), x


def _of_one_replica(value):
    """Returns the part of the first replica of a distributed value."""
    if isinstance(value, tf.distribute.DistributedValues):
        return value.values[0]
    return value
