"""Datasets in the four idx files of the MNIST family."""

import gzip
import math
import os
import zlib

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat.data import pipeline
from keras_sat.data.image_datasets import PipelineOptions
from keras_sat.data.small_datasets import WHOLE_IMAGES
from keras_sat.data.sources import Source

# From a part of the data to the first word of the names of its files.
SUBSETS = {"train": "train", "validation": "train", "test": "t10k"}
# What both kinds of files begin with: two zeros, 8 for unsigned bytes, and the
# number of dimensions.
MAGIC = {"images": b"\0\0\x08\x03", "labels": b"\0\0\x08\x01"}


def idx_folder(
    directory,
    subset="train",
    *,
    held_out=5000,
    split_seed=0,
    class_names=None,
    **options,
):
    """Returns a part of MNIST, Fashion-MNIST or another set in their format.

    The folder holds `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
    `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`, with a dot instead of
    the last hyphen or not, compressed (`.gz`) or not. Nothing is downloaded;
    Debian's package `dataset-fashion-mnist` puts Fashion-MNIST into
    `/usr/share/datasets/fashion-mnist`.

    Args:
        directory: str or path-like.
        subset: str. `"train"`, `"validation"` (images of the training file that
            `"train"` leaves out) or `"test"`. Defaults to `"train"`.
        held_out: int >= 0. How many training images are for validation.
            Defaults to `5000`.
        split_seed: int >= 0. Decides which ones they are, alike on every
            machine. Defaults to `0`.
        class_names: sequence of str, one for each label. Defaults to the
            numbers of the labels, up to the largest one in the file.
        **options: those of `image_folder`, such as `training` and `batch_size`.
            `image_size` defaults to the size of the images, `crop_padding` to
            0, and `augmentation` to none: no crop and no flip.

    Returns:
        `tf.data.Dataset` of uint8 images `(batch, image_size, image_size, 1)`
        and int64 labels `(batch,)`, with the attributes that `image_folder`
        describes. Where augmentation has coloured an image, its red remains.

    Raises:
        TypeError: If an argument is of another kind, or not known.
        ValueError: If a file is missing or broken, if images and labels differ
            in number, if images are not square, or if an argument is out of its
            range.

    Example:

    ```python
    folder = "/usr/share/datasets/fashion-mnist"
    train_ds = keras_sat.data.idx_folder(folder, training=True)
    held_out_ds = keras_sat.data.idx_folder(folder, "validation")
    test_ds = keras_sat.data.idx_folder(folder, "test")
    ```

    Reference:
    - [LeCun et al., 1998](https://yann.lecun.com/exdb/mnist/)
    - [Xiao et al., 2017](https://arxiv.org/abs/1708.07747)
    """
    checks.lookup("subset", subset, SUBSETS)
    images, labels = read_pair(directory, SUBSETS[subset])
    names = _class_names(class_names, labels)
    chosen = _part(subset, len(labels), held_out, split_seed)
    images, labels = images[chosen], labels[chosen]
    if options.get("training"):
        # Garments and digits are not mirrored or cut by default.
        options.setdefault("augmentation", WHOLE_IMAGES)
    defaults = {"image_size": images.shape[1], "crop_padding": 0}
    options = PipelineOptions(**defaults | options)
    place = f"{os.fspath(directory)}, {subset}"
    source = _source(place, images, labels, names, chosen)
    return pipeline.batches_of(source, options)


def read_pair(directory, stem):
    """Returns the images and the labels of two files.

    Args:
        directory: str or path-like.
        stem: str. The first word of their names.

    Returns:
        uint8 arrays `(count, size, size)` and `(count,)`.

    Raises:
        ValueError: See `idx_folder`.
    """
    directory = checks.path("directory", directory)
    if not os.path.isdir(directory):
        checks.refuse("directory", "be an existing folder", directory)
    images = _read(directory, stem, "images")
    labels = _read(directory, stem, "labels")
    if len(images) != len(labels):
        _refuse(
            "hold a label for each image",
            f"{len(images)} images and {len(labels)} labels in the files "
            f"'{stem}-*' in {directory!r}",
        )
    if images.shape[1] != images.shape[2]:
        _refuse(
            "hold square images",
            f"images of {images.shape[1]}x{images.shape[2]} pixels in "
            f"{directory!r}",
        )
    return images, labels


def _read(directory, stem, kind):
    """Returns the array in one of the files, which it checks."""
    path = _path(directory, stem, kind)
    contents = _contents(path)
    magic = MAGIC[kind]
    start = 4 + 4 * magic[3]
    if contents[:4] != magic:
        _refuse(
            f"hold {kind} in idx files, which begin with {magic.hex()}",
            f"{path!r}, which begins with {contents[:4].hex() or 'nothing'}",
        )
    if len(contents) < start:
        _refuse("hold whole files", f"{path!r}, which ends within its head")
    shape = np.frombuffer(contents, ">u4", magic[3], 4).tolist()
    expected = start + math.prod(shape)
    if expected == start:
        _refuse(f"hold {kind}", f"{path!r} with the shape {tuple(shape)}")
    if len(contents) != expected:
        _refuse(
            f"hold files as long as they say, with {kind}",
            f"{path!r}: {len(contents)} bytes instead of {expected} for the "
            f"shape {tuple(shape)}",
        )
    return np.frombuffer(contents, np.uint8, offset=start).reshape(shape)


def _path(directory, stem, kind):
    """Returns the path of the file that is there, under one of its names."""
    plain = [
        f"{stem}-{kind}{mark}idx{MAGIC[kind][3]}-ubyte" for mark in ("-", ".")
    ]
    names = [name + end for end in ("", ".gz") for name in plain]
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            return path
    return _refuse(
        f"hold one of {names}",
        f"{directory!r} with {sorted(os.listdir(directory))[:10]}",
    )


def _contents(path):
    """Returns the bytes of a file, decompressed if its name ends with .gz."""
    if not path.endswith(".gz"):
        with open(path, "rb") as file:
            return file.read()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        try:
            _refuse(
                "hold `.gz` files that can be decompressed",
                f"{path!r}: {error}",
            )
        except ValueError as refused:
            raise refused from error


def _part(subset, count, held_out, split_seed):
    """Returns the numbers of the images of a part, in the order of the file.

    Args:
        subset: str. A key of `SUBSETS`.
        count: int. Images in the file.
        held_out, split_seed: see `idx_folder`.
    """
    checks.integer("held_out", held_out, least=0)
    checks.integer("split_seed", split_seed, least=0)
    if subset == "test":
        return np.arange(count)
    if held_out >= count:
        checks.refuse(
            "held_out",
            f"be less than {count}, the number of images for training",
            held_out,
        )
    if subset == "validation" and not held_out:
        checks.refuse("held_out", "be at least 1 for validation", held_out)
    # NumPy promises that the numbers of this generator never change.
    order = np.random.RandomState(split_seed).permutation(count)
    parts = {"validation": order[:held_out], "train": order[held_out:]}
    return np.sort(parts[subset])


def _class_names(class_names, labels):
    """Returns the name of each label, a tuple of str."""
    largest = int(labels.max())
    if class_names is None:
        return tuple(str(label) for label in range(largest + 1))
    names = tuple(class_names)
    if len(names) <= largest:
        checks.refuse(
            "class_names",
            f"name all labels up to {largest}",
            checks.Described(f"{len(names)} names"),
        )
    return names


def _source(place, images, labels, class_names, numbers):
    """Returns arrays as a `Source` of encoded images.

    Args:
        place: str. Where they are, for messages.
        images: uint8 array `(count, size, size)`.
        labels: uint8 array `(count,)`.
        class_names: tuple of str.
        numbers: int array `(count,)`. The numbers of the images in their file.
    """
    pixels = tf.constant(images[..., np.newaxis])
    places = [str(i) for i in range(len(images))]
    names = [f"image {number}" for number in numbers]
    dataset = tf.data.Dataset.from_tensor_slices(
        (names, places, labels.astype(np.int64))
    )

    def read(place):
        image = tf.gather(pixels, tf.strings.to_number(place, tf.int32))
        return tf.io.encode_png(image, compression=0)

    return Source(
        place=place,
        examples=lambda seed: dataset,
        read=read,
        fits_in_memory=True,
        size=len(images),
        class_names=class_names,
        is_gray=True,
    )


def _refuse(expected, received):
    """Refuses what a folder holds."""
    checks.refuse("directory", expected, checks.Described(received))
