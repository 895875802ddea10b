"""Checked batches of images and labels, from every kind of dataset."""

import collections.abc
import dataclasses
import itertools
import zlib

import keras
import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.checks import datasets
from keras_sat.predictions.labels import class_ids
from keras_sat.preprocessing.value_range import to_float


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """A batch of checked images, in the one form that evaluations use.

    Args:
        index: int. The place of the batch in the dataset, from 0.
        images: float32 array `(batch, ...)`, clipped to `value_range`.
        labels: int32 array `(batch,)`. The right classes.
        excess: float array `(batch,)`. How far each image left the range, as a
            share of its width.
    """

    index: int
    images: np.ndarray
    labels: np.ndarray
    excess: np.ndarray

    @property
    def checksum(self):
        """A number that changes with the images and labels."""
        return zlib.crc32(self.labels.tobytes(), zlib.crc32(self.images.data))


@dataclasses.dataclass(frozen=True, eq=False)
class CheckedDataset:
    """The batches of a dataset, of which the first one has been classified.

    Args:
        batches: iterator of `Batch`, the first one included.
        size: int. Number of batches; `None` if it is unknown.
        first: `Batch`. The first one.
        first_logits: float array `(batch, num_classes)`. Logits of the first
            batch.
    """

    batches: collections.abc.Iterator
    size: int | None
    first: Batch
    first_logits: np.ndarray

    @property
    def num_classes(self):
        """Number of classes that the model tells apart."""
        return self.first_logits.shape[1]


def read(dataset, batch_size, evaluated):
    """Returns the batches of a dataset, each checked when it is read.

    Args:
        dataset: see `evaluate_robustness`.
        batch_size: int >= 1. Images in each batch, if `dataset` is a pair of
            arrays.
        evaluated: `EvaluatedModel`. What the batches are for.

    Returns:
        `CheckedDataset`.

    Raises:
        TypeError: If the dataset, images or labels are of a kind that cannot be
            used.
        ValueError: If the dataset is empty, or, while it is read, if a batch is
            not one for this model.
    """
    checks.integer("batch_size", batch_size)
    pairs, size = stream(dataset, batch_size)
    pair = next(pairs, None)
    if pair is None:
        described = checks.Described("no batch")
        checks.refuse("dataset", "not be empty", described)
    value_range, expected = evaluated.value_range, evaluated.expected_batches
    images = _checked(0, pair, expected, value_range).images
    logits = evaluated.logits(images)
    checks.not_probabilities("model", logits)
    # Only the logits of a function tell how many classes there are. The labels
    # of the first batch are checked once more, against that number.
    expected = dataclasses.replace(expected, num_classes=logits.shape[1])
    first = _checked(0, pair, expected, value_range)
    others = (
        _checked(index, pair, expected, value_range)
        for index, pair in enumerate(pairs, start=1)
    )
    return CheckedDataset(itertools.chain([first], others), size, first, logits)


def stream(dataset, batch_size):
    """Returns the batches `(images, labels)` of a dataset, not checked yet.

    Args:
        dataset: `tf.data.Dataset`, `keras.utils.PyDataset` or iterable of
            `(images, labels)` batches, or a pair of arrays.
        batch_size: int >= 1. Images in each batch of a pair of arrays.

    Returns:
        Iterator of pairs of arrays, and their number, `None` if it is unknown.

    Raises:
        TypeError: If `dataset` is of another kind.
        ValueError: If it has no end; while it is read, if a batch has no
            labels.
    """
    if isinstance(dataset, tf.distribute.DistributedDataset):
        checks.refuse(
            "dataset",
            "be the dataset that is not distributed yet",
            checks.Described("a DistributedDataset"),
            error=TypeError,
        )
    datasets.check_finite("dataset", dataset)
    size = None
    if isinstance(dataset, tuple) and len(dataset) == 2:
        dataset, size = _batches_of_arrays(*dataset, batch_size)
    elif isinstance(dataset, keras.utils.PyDataset):
        size = dataset.num_batches
        dataset = map(dataset.__getitem__, range(size))
    elif isinstance(dataset, tf.data.Dataset):
        # TensorFlow gives a negative number for "unknown".
        size = int(dataset.cardinality())
        size = size if size >= 0 else None
    elif not np.iterable(dataset) or isinstance(dataset, str | dict):
        checks.refuse(
            "dataset",
            "give batches (images, labels)",
            dataset,
            error=TypeError,
        )
    return map(_labelled, datasets.elements(dataset)), size


def _batches_of_arrays(images, labels, batch_size):
    """Returns the batches of two arrays, and their number."""
    images, labels = np.asarray(images), np.asarray(labels)
    if len(images) != len(labels):
        checks.refuse(
            "dataset",
            "have as many labels as images",
            checks.Described(f"{len(images)} images and {len(labels)} labels"),
        )
    starts = range(0, len(images), batch_size)
    batches = (
        (images[i : i + batch_size], labels[i : i + batch_size]) for i in starts
    )
    return batches, len(starts)


def _labelled(element):
    """Returns the images and labels of what a dataset gives, as arrays."""
    images, labels, weights = datasets.unpack_batch(element)
    if weights is not None:
        checks.refuse(
            "dataset",
            "give batches (images, labels)",
            checks.Described("batches with weights"),
        )
    return np.asarray(images), np.asarray(labels)


def _checked(index, pair, expected, value_range):
    """Returns the `Batch` of a pair of arrays, or refuses it."""
    images, labels = pair
    expected.check(images, labels, number=index)
    low, high = value_range
    images = np.asarray(to_float(images, value_range))
    axes = tuple(range(1, images.ndim))
    below, above = low - images.min(axes), images.max(axes) - high
    return Batch(
        index,
        np.clip(images, low, high),
        np.asarray(class_ids(labels)).astype("int32"),
        np.maximum(np.maximum(below, above), 0.0) / (high - low),
    )
