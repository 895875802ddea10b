"""Real images to train on, as batches of images in `[0, 1]` and class ids."""

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import extras

PADDING = 4


def digits(batch_size=64, image_size=32):
    """The 1,797 handwritten digits of scikit-learn, which need no download.

    They are 8x8 pixels with 17 levels of gray, enlarged bilinearly and
    repeated in the three channels. Every fifth image of each class is for
    testing. `keras.utils.set_random_seed`, called before, fixes the order of
    the training images.

    Args:
        batch_size: int, 1 to 1437. Images in a batch. Defaults to `64`.
        image_size: int >= 8. Height and width of the images. Defaults to `32`.

    Returns:
        Two `tf.data.Dataset` of float32 images `(batch, image_size,
        image_size, 3)` in `[0, 1]` and int32 labels `(batch,)` in 0 to 9. The
        first, for training, holds 1,437 images, shuffles them anew in each
        epoch and leaves out those that do not fill a batch. The second, for
        testing, holds all of the 360 others in a fixed order.

    Raises:
        ImportError: If scikit-learn is missing.
        TypeError: If an argument is not an integer.
        ValueError: If an argument is out of its range.

    Example:

    ```python
    train_ds, test_ds = keras_sat.data.digits(batch_size=128, image_size=16)
    ```

    Reference:
    - [Alpaydin & Kaynak, 1998](https://doi.org/10.24432/C50P49)
    """
    checks.integer("batch_size", batch_size)
    checks.integer("image_size", image_size, least=8)
    with extras.needed("digits"):
        from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[..., None] / 16.0).astype("float32")
    labels = bunch.target.astype("int32")
    by_class = np.argsort(labels, kind="stable")
    is_test = np.zeros(len(labels), bool)
    is_test[by_class[::5]] = True
    train, test = (
        tf.data.Dataset.from_tensor_slices((images[chosen], labels[chosen]))
        for chosen in (~is_test, is_test)
    )

    def enlarge(images, labels):
        images = tf.image.resize(images, (image_size, image_size))
        return tf.repeat(images, 3, axis=-1), labels

    train = _shuffled(train, batch_size)
    train = train.batch(batch_size, drop_remainder=True)
    test = test.batch(batch_size)
    return tuple(ds.map(enlarge).prefetch(1) for ds in (train, test))


def cifar10(batch_size=128, data_dir=None, augment=True, download=True):
    """CIFAR-10 through tensorflow-datasets: 50,000 + 10,000 images of 32x32.

    `keras.utils.set_random_seed`, called before, fixes the order and the
    augmentation of the training images.

    Args:
        batch_size: int, 1 to 50000. Images in a batch. Defaults to `128`.
        data_dir: str or path-like. Where the prepared data is, or will be.
            Defaults to the folder that tensorflow-datasets uses.
        augment: bool. Whether training images are padded by 4 black pixels,
            cropped at random to 32x32 and mirrored half of the time. Defaults
            to `True`.
        download: bool. Whether to download and prepare data that is not yet
            there. Defaults to `True`.

    Returns:
        Two `tf.data.Dataset` of float32 images `(batch, 32, 32, 3)` in
        `[0, 1]` and int64 labels `(batch,)` in 0 to 9. The first, for
        training, is shuffled and augmented anew in each epoch and leaves out
        images that do not fill a batch. The second, for testing, holds all
        images in a fixed order.

    Raises:
        ImportError: If tensorflow-datasets is missing.
        TypeError: If `batch_size` is not an integer.
        ValueError: If `batch_size` is less than 1, or more than there is.

    Example:

    ```python
    train_ds, test_ds = keras_sat.data.cifar10(data_dir="datasets")
    ```

    Reference:
    - [Krizhevsky, 2009](https://www.cs.toronto.edu/~kriz/cifar.html)
    """
    checks.integer("batch_size", batch_size)
    with extras.needed("data"):
        import tensorflow_datasets as tfds

    train, test = tfds.load(
        "cifar10",
        split=["train", "test"],
        as_supervised=True,
        data_dir=data_dir,
        download=download,
    )
    parallel = tf.data.AUTOTUNE
    train = _shuffled(train.cache(), batch_size)
    if augment:
        # A number per image, others in each epoch, whatever runs in parallel.
        numbers = tf.data.Dataset.random(rerandomize_each_iteration=True)
        train = tf.data.Dataset.zip(train, numbers.batch(2))
        train = train.map(_crop_and_flip, num_parallel_calls=parallel)
    train = train.batch(batch_size, drop_remainder=True)
    test = test.batch(batch_size)
    return tuple(
        ds.map(_to_unit_range).prefetch(parallel) for ds in (train, test)
    )


def _shuffled(dataset, batch_size):
    size = int(dataset.cardinality())
    if batch_size > size:
        checks.refuse(
            "batch_size",
            f"be at most {size}, the number of training images",
            batch_size,
        )
    return dataset.shuffle(size)


def _crop_and_flip(example, numbers):
    image, label = example
    crop_seed, flip_seed = tf.unstack(tf.stack([numbers, numbers + 1]))
    shape = image.shape
    border = [[PADDING, PADDING], [PADDING, PADDING], [0, 0]]
    image = tf.image.stateless_random_crop(
        tf.pad(image, border), shape, crop_seed
    )
    return tf.image.stateless_random_flip_left_right(image, flip_seed), label


def _to_unit_range(images, labels):
    return tf.cast(images, tf.float32) / 255.0, labels
