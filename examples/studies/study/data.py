"""The images of a setting, and the order in which training sees them."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

import keras_sat
from study import setting as settings


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Images and labels to train on, and to measure on.

    Args:
        train, test: pairs of a uint8 or float32 array `(count, size, size, 1)`
            and an int array `(count,)`.
        classes: int. Number of classes.
    """

    train: tuple
    test: tuple
    classes: int = 10

    def resized(self, size):
        """Returns the same images with other sides, in pixels."""
        if size == self.train[0].shape[1]:
            return self
        return dataclasses.replace(
            self,
            train=_resized(self.train, size),
            test=_resized(self.test, size),
        )


def read(setting, data_dir=None, held_out=False, count=None):
    """Reads the images of a setting.

    Args:
        setting: `Setting`.
        data_dir: str. Folder of idx files, for other data than the digits.
        held_out: bool. Whether to measure on training images that are held
            out, in place of the test images. Defaults to `False`.
        count: int. How many images to measure on, the first ones. Defaults to
            all.

    Returns:
        `Data`.
    """
    if setting == settings.DIGITS:
        train, test = _digits()
        if held_out:
            third = len(train[1]) // 3
            test = tuple(part[:third] for part in train)
            train = tuple(part[third:] for part in train)
    else:
        test = "validation" if held_out else "test"
        train, test = (
            _all_of(
                keras_sat.data.idx_folder(
                    data_dir,
                    subset,
                    held_out=settings.HELD_OUT,
                    batch_size=1000,
                )
            )
            for subset in ("train", test)
        )
    train = tuple(part[: setting.images] for part in train)
    test = tuple(part[:count] for part in test)
    return Data(train=train, test=test)


def order(count, seed, epoch):
    """Returns the order of images in an epoch, int array `(count,)`."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def batches(pair, batch_size, epochs, seed):
    """Returns all batches of a training.

    Their order depends on seed and epoch alone. What does not fill a batch is
    left out of its epoch.

    Args:
        pair: images and labels, arrays with as many rows.
        batch_size: int.
        epochs: int.
        seed: int.

    Returns:
        `tf.data.Dataset` of `epochs` times `count // batch_size` batches.
    """
    count = len(pair[1])
    full = count // batch_size * batch_size
    orders = [order(count, seed, epoch)[:full] for epoch in range(epochs)]
    rows = np.concatenate(orders).reshape(-1, batch_size).astype("int32")
    pair = tuple(map(tf.constant, pair))
    return tf.data.Dataset.from_tensor_slices(rows).map(
        lambda rows: tuple(tf.gather(part, rows) for part in pair)
    )


def _digits():
    """Returns the pairs of scikit-learn's digits, in an order of their own."""
    # One batch holds all; it is shuffled by this seed, and sorted here.
    keras.utils.set_random_seed(0)
    parts = keras_sat.data.digits(settings.DIGITS.images, 8, 1)
    return tuple(map(_sorted, map(_all_of, parts)))


def _sorted(pair):
    """Mixes images in an order that no seed changes."""
    images, labels = pair
    order = np.lexsort(images.reshape(len(images), -1).T)
    order = np.random.default_rng(0).permutation(order)
    return images[order], labels[order]


def _all_of(dataset):
    """Returns the batches of a dataset as two arrays."""
    batches = list(dataset.as_numpy_iterator())
    return tuple(map(np.concatenate, zip(*batches, strict=True)))


def _resized(pair, size):
    """Returns images of another size, rounded to grey levels, and labels."""
    images, labels = pair
    resized = tf.image.resize(images, (size, size), "bilinear").numpy()
    if images.dtype == np.uint8:
        resized = np.round(resized).astype("uint8")
    return resized, labels
