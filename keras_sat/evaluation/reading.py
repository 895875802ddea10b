"""Batches of images and labels from all that an evaluation can be given."""

import keras
import numpy as np
import tensorflow as tf

from keras_sat.checks import Described
from keras_sat.checks import datasets
from keras_sat.checks import refuse


def stream(dataset, batch_size):
    """The batches `(images, labels)` of a dataset, one after the other.

    Args:
        dataset: `tf.data.Dataset`, `keras.utils.PyDataset` or iterable of
            `(images, labels)` batches, or a pair of arrays.
        batch_size: int >= 1. For arrays.

    Returns:
        Iterator of pairs of arrays, and their number, if it is known.

    Raises:
        TypeError: If `dataset` is of another kind.
        ValueError: While it is read, if a batch has no labels.
    """
    if isinstance(dataset, tf.distribute.DistributedDataset):
        refuse(
            "dataset",
            "be the dataset that is not distributed yet",
            Described("a DistributedDataset"),
            error=TypeError,
        )
    datasets.check_finite("dataset", dataset)
    size = None
    if isinstance(dataset, tuple) and len(dataset) == 2:
        images, labels = (np.asarray(array) for array in dataset)
        if len(images) != len(labels):
            refuse(
                "dataset",
                "have as many labels as images",
                Described(f"{len(images)} images and {len(labels)} labels"),
            )
        starts = range(0, len(images), batch_size)
        dataset = (
            (images[i : i + batch_size], labels[i : i + batch_size])
            for i in starts
        )
        size = len(starts)
    elif isinstance(dataset, keras.utils.PyDataset):
        size = dataset.num_batches
        dataset = map(dataset.__getitem__, range(size))
    elif isinstance(dataset, tf.data.Dataset):
        size = int(dataset.cardinality())
        size = size if size >= 0 else None
    elif not np.iterable(dataset) or isinstance(dataset, str | dict):
        refuse(
            "dataset",
            "give batches (images, labels)",
            dataset,
            error=TypeError,
        )
    return map(_labelled, dataset), size


def _labelled(element):
    images, labels, weights = datasets.unpack_batch(element)
    if weights is not None:
        refuse(
            "dataset",
            "give batches (images, labels)",
            Described("batches with weights"),
        )
    return np.asarray(images), np.asarray(labels)
