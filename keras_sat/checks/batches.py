"""Checks of images, of labels and of the datasets that give them."""

import itertools
import math
import types

import keras
import numpy as np
import tensorflow as tf

from keras_sat.checks.arguments import Described
from keras_sat.checks.arguments import refuse


def batch(
    images,
    labels,
    value_range,
    image_shape=None,
    num_classes=None,
    slack=1e-4,
):
    """Checks a batch of concrete images and labels.

    Args:
        images: array `(batch, ...)`: float in `value_range`, or uint8.
        labels: array: int `(batch,)`, or `(batch, num_classes)` of
            probabilities; `None` where no labels are needed.
        value_range: pair of floats.
        image_shape: tuple. Shape of one image; `None` in it stands for any
            size. Unknown if `None`.
        num_classes: int. Unknown if `None`.
        slack: float >= 0. How far float images may leave the range, as a
            fraction of its width.

    Raises:
        TypeError: If images or labels are of a kind that cannot be used.
        ValueError: If their shapes or values are wrong.
    """
    images = _array("images", images)
    _check_images(images, value_range, image_shape, slack)
    if labels is not None:
        labels = _array("labels", labels)
        if len(labels) != len(images):
            refuse(
                "labels",
                f"have one entry for each of the {len(images)} images",
                Described(f"shape {labels.shape}"),
            )
        _check_labels(labels, num_classes)


def dataset(x, y=None, labelled=True, **expected):
    """Checks what `fit` and its like are given: arrays, or a first batch.

    Args:
        x: array of images, `tf.data.Dataset`, `keras.utils.PyDataset` or
            generator of `(images, labels)` batches.
        y: array of labels, if `x` is one of images.
        labelled: bool. Whether labels are needed.
        **expected: see `batch`.

    Returns:
        `x`; a generator is given back with its first batch in front again.

    Raises:
        TypeError: See `batch`.
        ValueError: If there is no batch, or no labels. See also `batch`.
    """
    first, x = _first_batch(x, y)
    if first is None:
        refuse("dataset", "not be empty", Described("no batch"))
    images, labels, _ = keras.utils.unpack_x_y_sample_weight(first)
    if labelled and labels is None:
        refuse(
            "dataset",
            "give batches (images, labels)",
            Described("batches without labels"),
        )
    batch(images, labels if labelled else None, **expected)
    return x


def _first_batch(x, y):
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
    return (x,) if y is None else (x, y), x


def _of_one_replica(value):
    if isinstance(value, tf.distribute.DistributedValues):
        return value.values[0]
    return value


def _array(name, value):
    if isinstance(value, dict | list | tuple) or value is None:
        refuse(
            name,
            "be a single array",
            Described(f"a {type(value).__name__}"),
            error=TypeError,
        )
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        array = array.astype("float32")
    if array.dtype.kind not in "biuf":
        dtype = Described(f"dtype {array.dtype}")
        refuse(name, "be numeric", dtype, error=TypeError)
    if array.ndim == 0 or len(array) == 0:
        refuse(name, "not be empty", Described(f"shape {array.shape}"))
    return array


def _check_images(images, value_range, image_shape, slack):
    if images.dtype.kind != "f" and images.dtype != np.uint8:
        refuse(
            "images",
            "be float, in `value_range`, or uint8",
            Described(f"dtype {images.dtype}"),
            "Cast the images to uint8 if they hold grey levels from 0 to 255.",
            TypeError,
        )
    shape = (None, *image_shape) if image_shape else (None,) * images.ndim
    if images.ndim < 2 or not _matches(images.shape, shape):
        refuse(
            "images",
            f"have the shape {_shown(shape)}",
            Described(f"shape {images.shape}"),
        )
    if images.dtype == np.uint8:
        return
    low, high = float(images.min()), float(images.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        refuse("images", "be finite", Described("NaN or infinite values"))
    slack *= value_range[1] - value_range[0]
    if low < value_range[0] - slack or high > value_range[1] + slack:
        fix = "Divide the images by 255, or pass uint8."
        if low < 0 or high <= 1:
            fix = "Undo the normalization: it belongs into the model."
        refuse(
            "images",
            f"lie in `value_range`={tuple(value_range)}",
            Described(f"values in [{low:g}, {high:g}]"),
            fix,
        )


def _check_labels(labels, num_classes):
    kinds = (
        "be int class ids `(batch,)` or probabilities `(batch, num_classes)`"
    )
    described = Described(f"dtype {labels.dtype} and shape {labels.shape}")
    if labels.ndim == 1 and labels.dtype.kind not in "iu":
        refuse("labels", kinds, described, "Cast class ids to int32.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        refuse("labels", kinds, described, "Remove the last dimension.")
    if labels.ndim not in (1, 2):
        refuse("labels", kinds, described)
    if labels.ndim == 1:
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or (num_classes and high >= num_classes):
            refuse(
                "labels",
                f"lie in [0, num_classes={num_classes or '...'})",
                Described(f"class ids from {low} to {high}"),
            )
        return
    if num_classes and labels.shape[1] != num_classes:
        refuse(
            "labels",
            f"have the shape (batch, {num_classes}), one probability for each "
            "class of the model",
            described,
        )
    sums = labels.sum(axis=1)
    if labels.min() < 0 or not np.allclose(sums, 1, atol=1e-2):
        refuse(
            "labels",
            "be probabilities that sum to 1 for each image",
            Described(f"sums from {sums.min():g} to {sums.max():g}"),
        )


def _matches(shape, template):
    return len(shape) == len(template) and all(
        known in (None, size)
        for size, known in zip(shape, template, strict=True)
    )


def _shown(shape):
    sizes = ["batch", *("any" if n is None else str(n) for n in shape[1:])]
    return f"({', '.join(sizes)})"
