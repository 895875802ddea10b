"""Small datasets, as batches of images in `[0, 1]` and class ids."""

import random

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import extras
from keras_sat import preprocessing
from keras_sat.data import image_datasets
from keras_sat.data import pipeline
from keras_sat.data import sources
from keras_sat.data.augmentation import Augmentation

# The usual augmentation of CIFAR-10: shifts by up to 4 pixels, and the flip.
SHIFT_AND_FLIP = Augmentation(padding=4)
WHOLE_IMAGES = Augmentation(area=(1.0, 1.0), ratio=(1.0, 1.0), flip=False)


def digits(batch_size=64, image_size=32, channels=3):
    """Returns the handwritten digits of scikit-learn, which need no download.

    The 1,797 images have 8x8 pixels with 17 levels of gray. They are enlarged
    bilinearly. Every fifth image of each class is for testing.
    `keras.utils.set_random_seed`, called before, fixes the order of the
    training images.

    Args:
        batch_size: int, 1 to 1437. Images in a batch. Defaults to `64`.
        image_size: int >= 8. Height and width of the images. Defaults to `32`.
        channels: int. `1` for gray images; `3` repeats gray in three channels,
            for networks that take RGB. Defaults to `3`.

    Returns:
        Two `tf.data.Dataset` of float32 images `(batch, image_size,
        image_size, channels)` in `[0, 1]` and int32 labels `(batch,)` in 0 to
        9. The first, for training, holds 1,437 images, shuffles them anew in
        each epoch and leaves out those that do not fill a batch. The second,
        for testing, holds all of the 360 others in a fixed order. Both have
        the attributes `class_names`, `num_classes` and `num_batches`, so that
        `recipes.train` takes them.

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
    if channels not in preprocessing.CHANNELS:
        checks.refuse("channels", "be 1, for gray, or 3", channels)
    with extras.needed("digits"):
        from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[..., None] / 16.0).astype("float32")
    labels = bunch.target.astype("int32")
    # Every fifth image of the images sorted by class.
    by_class = np.argsort(labels, kind="stable")
    is_test = np.zeros(len(labels), bool)
    is_test[by_class[::5]] = True
    train, test = (
        tf.data.Dataset.from_tensor_slices((images[chosen], labels[chosen]))
        for chosen in (~is_test, is_test)
    )

    def enlarge(images, labels):
        images = tf.image.resize(images, (image_size, image_size))
        return tf.repeat(images, channels, axis=-1), labels

    size = int(train.cardinality())
    pipeline.check_batch_size(batch_size, size)
    train = train.shuffle(size).batch(batch_size, drop_remainder=True)
    test = test.batch(batch_size)
    train, test = (ds.map(enlarge).prefetch(1) for ds in (train, test))
    for dataset, chosen in ((train, ~is_test), (test, is_test)):
        dataset.num_images = int(chosen.sum())
        dataset.class_names = tuple(map(str, range(10)))
        dataset.num_classes = 10
        dataset.num_batches = len(dataset)
    # They fill their images, and an export of a model has to know.
    test.view = {"crop": "centre"}
    return train, test


def cifar10(batch_size=128, data_dir=None, augment=True, download=True):
    """Returns CIFAR-10, which tensorflow-datasets downloads.

    There are 50,000 images for training and 10,000 for testing, of 32x32
    pixels. `keras.utils.set_random_seed`, called before, fixes the order and
    the augmentation of the training images. `load("cifar10", ...)` has more
    options.

    Args:
        batch_size: int, 1 to 50000. Images in a batch. Defaults to `128`.
        data_dir: str or path-like. The folder of the prepared data. Defaults to
            the folder that tensorflow-datasets uses.
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
        images in a fixed order. Both have the attribute `class_names`.

    Raises:
        ImportError: If tensorflow-datasets is missing.
        TypeError: If `batch_size` is not an integer.
        ValueError: If `batch_size` is less than 1, or more than there is, or
            if the data is not there and `download` is `False`.

    Example:

    ```python
    train_ds, test_ds = keras_sat.data.cifar10(data_dir="datasets")
    ```

    Reference:
    - [Krizhevsky, 2009](https://www.cs.toronto.edu/~kriz/cifar.html)
    """
    checks.integer("batch_size", batch_size)
    if download:
        sources.prepare_tfds("cifar10", data_dir)
    options = {
        "data_dir": data_dir,
        "batch_size": batch_size,
        "image_size": 32,
    }
    train = image_datasets.load(
        "cifar10",
        "train",
        training=True,
        # Python's generator is one of those that Keras seeds.
        seed=random.randrange(2**31),
        augmentation=SHIFT_AND_FLIP if augment else WHOLE_IMAGES,
        cache=True,
        **options,
    )
    # Without the margin that the evaluation on ImageNet cuts off.
    test = image_datasets.load("cifar10", "test", crop_padding=0, **options)
    return tuple(map(_in_unit_range, (train, test)))


def _in_unit_range(dataset):
    """Returns a dataset with floats in the place of grey levels."""
    scaled = dataset.map(_to_unit_range).prefetch(tf.data.AUTOTUNE)
    # TensorFlow loses attributes.
    scaled.class_names = dataset.class_names
    return scaled


def _to_unit_range(images, labels):
    return tf.cast(images, tf.float32) / 255.0, labels
