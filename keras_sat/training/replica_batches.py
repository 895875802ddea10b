"""Batches that replicas can share."""

import tensorflow as tf

from keras_sat import checks
from keras_sat import programs


def shared_evenly(x, y, batch_size, replicas):
    """Returns data of full batches, which replicas can share evenly.

    A last, smaller batch would leave some replica without images, whose batch
    statistics are then NaN.

    Args:
        x: what `fit` trains on.
        y: array of labels, if `x` is one of images; else `None`.
        batch_size: int, or `None`. For arrays.
        replicas: int. The number of copies of the model that train together.

    Returns:
        `x`. Of a `tf.data.Dataset`, batches of another size than the first are
        left out.

    Raises:
        ValueError: If a batch is no multiple of `replicas`.
    """
    if y is not None:
        # The default of Keras.
        batch_size = batch_size or 32
        _check_multiple("batch_size", batch_size, replicas)
        _check_multiple("the last batch", len(x) % batch_size, replicas)
    if not isinstance(x, tf.data.Dataset):
        return x
    size = tf.nest.flatten(x.element_spec)[0].shape[0]
    if size is not None:
        _check_multiple("batch_size", size, replicas)
        return x
    size = _batch_size(next(iter(x.take(1))))
    _check_multiple("batch_size", int(size), replicas)
    programs.say(f"Batches of other sizes than {size} are left out.")
    return _of_size(int(size), x)


def never_empty(parts, replicas):
    """Returns the share of a replica of a batch, with an image in any case.

    A replica gets no image if the last batch is smaller than the number of
    replicas. Layers and attacks do not expect that.

    Args:
        parts: list of tensors with the batch in front, or `None`.
        replicas: int. The number of copies of the model that work together.

    Returns:
        List of `parts`, an empty one replaced by a single example of zeros, and
        the number of true examples: slice `[:count]` what is computed. The
        count is `None`, with which a slice changes nothing, where no share can
        be empty.
    """
    if replicas == 1 or parts[0].shape[0] is not None:
        return list(parts), None
    padded = [None if part is None else _padded(part) for part in parts]
    return padded, tf.shape(parts[0])[0]


def _padded(part):
    """Returns a tensor with an example of zeros, if it has no example."""
    missing = tf.maximum(1 - tf.shape(part)[0], 0)
    shape = tf.concat([[missing], tf.shape(part)[1:]], axis=0)
    # Not by tf.pad: TensorFlow fuses it with a convolution on CPUs, wrongly.
    return tf.concat([part, tf.zeros(shape, part.dtype)], axis=0)


def _batch_size(batch):
    """Returns the number of examples in a batch, as a tensor."""
    return tf.shape(tf.nest.flatten(batch)[0])[0]


def _of_size(size, dataset):
    """Returns the batches of a dataset that have one size, which is known."""

    def with_known_size(*batch):
        return tf.nest.map_structure(
            lambda part: tf.ensure_shape(part, [size, *part.shape[1:]]), batch
        )

    full = dataset.filter(lambda *batch: _batch_size(batch) == size)
    return full.map(with_known_size)


def _check_multiple(name, size, replicas):
    """Refuses a number of images that replicas cannot share evenly."""
    if size % replicas:
        checks.refuse(
            name,
            f"be a multiple of the number of replicas, {replicas}",
            size,
        )
