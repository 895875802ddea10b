"""Checks of what gives batches: arrays, datasets and generators."""

import contextlib
import itertools
import types

import keras
import numpy as np
import tensorflow as tf

from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse


class Watch:
    """A guard of data: it checks batches, and keeps the first one it refuses.

    An error inside of an input pipeline reaches its reader as one of
    TensorFlow's. `in_words` brings the original back.

    Args:
        expected: `batches.Expected`.
        every_batch: bool. Whether to check all batches of a dataset, rather
            than the first one. Arrays are checked whole. Defaults to `True`.
    """

    def __init__(self, expected, every_batch=True):
        self.expected = expected
        self.every_batch = every_batch
        self._refused = {}
        self._first = None, None, None

    def data(self, x, y=None, weights=None, steps=None, name="x"):
        """Returns `x`, checked as far as it is known, and watched from here.

        Args:
            x: array of images, `tf.data.Dataset`, `keras.utils.PyDataset` or
                generator of `(images, labels[, weights])` batches.
            y: array of labels, if `x` is one of images.
            weights: array of sample weights, if `x` is an array of images.
            steps: int. How many batches are read. All of them if `None`.
            name: str. The argument, for errors.

        Returns:
            What gives the same batches as `x`, each of them checked.

        Raises:
            TypeError: If images or labels are of a kind that cannot be used.
            ValueError: If there is no batch, no end, or no labels, or if shapes
                or values are wrong.
        """
        _check_no_more(name, x, {"y": y, "sample_weight": weights})
        if steps is None:
            check_finite(name, x, "Give the number of steps, or `.take(n)`.")
        first, x = _first_batch(x, y, weights)
        if first is None:
            refuse("dataset", "not be empty", Described("no batch"))
        self._first = parts(first, self.expected.labelled)
        self.expected.check(*self._first)
        if not self.every_batch:
            return x
        if isinstance(x, tf.data.Dataset):
            return self._watched(x)
        if isinstance(x, keras.utils.PyDataset):
            return _WatchedPyDataset(x, self)
        if isinstance(x, types.GeneratorType):
            return (self.element(i, batch) for i, batch in enumerate(x))
        return x

    @property
    def first_images(self):
        """The images of the first batch."""
        return self._first[0]

    def element(self, number, batch):
        """Returns a batch of a Python iterator, checked."""
        try:
            images, labels, weights = parts(batch, self.expected.labelled)
            self.expected.check(images, labels, weights, number)
            self._check_alike(number, images, labels)
        except (TypeError, ValueError) as error:
            self._refused[number] = error
            raise
        return batch

    @contextlib.contextmanager
    def in_words(self):
        """Raises what was refused in a pipeline, not what came of it."""
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
        """Refuses what Keras would cast, wrongly, to the kind of batch 0."""
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

    def _watched(self, dataset):
        """A dataset whose batches are checked on the host, ahead of use."""

        def checked(number, batch):
            given = [p for p in parts(batch, labelled=False) if p is not None]
            tf.numpy_function(self._numbered, [number, *given], [])
            # What has been checked is known, also of a dataset that says less.
            for part, first in zip(given, self._first, strict=False):
                if part.shape.rank is None and first is not None:
                    part.set_shape([None, *np.shape(first)[1:]])
            return batch

        watched = dataset.enumerate().map(
            lambda number, *batch: checked(
                number, batch[0] if len(batch) == 1 else batch
            )
        )
        watched = watched.prefetch(1)
        if hasattr(dataset, "epoch"):
            # Those of `keras_sat.data` can be told from which epoch to go on.
            watched.epoch = dataset.epoch
        return watched

    def _numbered(self, number, *batch):
        self.element(int(number), batch)


class _WatchedPyDataset(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` whose batches are checked."""

    def __init__(self, dataset, watch):
        super().__init__(
            dataset.workers,
            dataset.use_multiprocessing,
            dataset.max_queue_size,
        )
        self._dataset = dataset
        self._watch = watch

    def __getitem__(self, index):
        return self._watch.element(index, self._dataset[index])

    @property
    def num_batches(self):
        return self._dataset.num_batches

    def on_epoch_begin(self):
        self._dataset.on_epoch_begin()

    def on_epoch_end(self):
        self._dataset.on_epoch_end()


def parts(batch, labelled=True):
    """Returns images, labels and weights of a batch, `None` for what it lacks.

    Args:
        batch: what a dataset gives.
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
    """Refuses labels or weights beside a dataset, which has its own."""
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
        dataset: what gives batches.
        fix: str. What the user can do.
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
    if isinstance(value, tf.distribute.DistributedValues):
        return value.values[0]
    return value
