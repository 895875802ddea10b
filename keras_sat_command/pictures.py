"""The data sets that commands are given: folders, files and names."""

import os

from keras_sat_command import problems

# Files of the MNIST family, by which their folder is known.
IDX = "t10k-images"
# Sets of small pictures, which have no margin to cut off.
SMALL = ("cifar10", "cifar100")


def kind_of(data):
    """Returns what a word for data stands for.

    Args:
        data: str. What the user gave as DATA.

    Returns:
        `"digits"`, `"npz"`, `"idx"`, `"folder"` or `"tfds"`.

    Raises:
        CommandError: If it looks like a path, and there is nothing.
    """
    if data == "digits":
        return "digits"
    if os.path.isdir(data):
        names = os.listdir(data)
        return "idx" if any(n.startswith(IDX) for n in names) else "folder"
    if data.endswith(".npz") and os.path.exists(data):
        return "npz"
    if os.path.exists(data) or os.sep in data or "." in data:
        problems.wrong("DATA", f"is no folder and no .npz file: {data!r}")
    return "tfds"


def to_evaluate(
    data, split, shape, value_range, view, batch_size=128, data_dir=None
):
    """Returns batches of images and labels to evaluate a model on.

    Args:
        data: str. A folder, an `.npz` file with the arrays `images` and
            `labels`, `digits`, or a name of tensorflow-datasets.
        split: str. For tensorflow-datasets.
        shape: height, width and channels.
        value_range: pair of floats, black and white for the model.
        view: dict of options of `data.image_folder`.
        batch_size: int.
        data_dir: str. For tensorflow-datasets.

    Returns:
        `tf.data.Dataset`; see `data.image_folder`.
    """
    import keras_sat

    kind, (height, width, channels) = kind_of(data), shape
    options = {"batch_size": batch_size, "image_size": (height, width)}
    with problems.arguments(
        directory="DATA", name="DATA", split="--split", dataset="DATA"
    ):
        if kind == "folder":
            options |= {"channels": channels}
            return keras_sat.data.image_folder(data, **options | view)
        if kind == "tfds":
            if data in SMALL:
                options |= {"crop_padding": 0}
            options |= {"data_dir": data_dir, "channels": channels}
            return keras_sat.data.load(data, split, **options | view)
        if kind == "idx":
            # They are gray, and have no margin.
            return keras_sat.data.idx_folder(data, "test", **options)
        if kind == "npz":
            return _arrays(data, batch_size)
        digits = keras_sat.data.digits(batch_size, height, channels)[1]
    low, high = value_range
    scaled = digits.map(lambda x, y: (x * (high - low) + low, y))
    scaled.num_images = digits.num_images
    return _described(scaled, digits)


def _arrays(path, batch_size):
    """Returns the images and labels of an `.npz` file."""
    import numpy as np
    import tensorflow as tf

    with np.load(path) as file:
        missing = [n for n in ("images", "labels") if n not in file.files]
        if missing:
            problems.wrong("DATA", f"has no array {missing[0]!r}: {path!r}")
        arrays = file["images"], file["labels"].astype("int32")
    if len({len(array) for array in arrays}) > 1:
        problems.wrong("DATA", f"has not one label for each image: {path!r}")
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(batch_size)
    dataset.num_images = len(arrays[0])
    return dataset


def some(dataset, count, batch_size):
    """Returns pictures that are spread evenly over a dataset.

    A folder begins with the pictures of one class.

    Args:
        dataset: `tf.data.Dataset` of batches.
        count: int, or `None` for all pictures.
        batch_size: int.

    Returns:
        `tf.data.Dataset`, and the distance of the pictures in `dataset`.
    """
    if count is None:
        return dataset, 1
    if count < 1:
        problems.wrong("--images", f"must be at least 1: {count}")
    every = max(1, dataset.num_images // count)
    chosen = dataset.unbatch().shard(every, 0).take(count).batch(batch_size)
    return _described(chosen, dataset), every


def _described(derived, dataset):
    """Returns a dataset with what another one says of all of its images."""
    # TensorFlow loses attributes.
    for name in ("view", "class_names"):
        setattr(derived, name, getattr(dataset, name, None))
    return derived


def names(dataset):
    """Returns the names of the pictures of a folder, without their endings.

    Args:
        dataset: `tf.data.Dataset`.

    Returns:
        List of str, relative to the folder; `None` if they have no names.
    """
    paths = getattr(dataset, "file_paths", None)
    if not paths:
        return None
    folder = os.path.commonpath(paths)
    relative = [os.path.relpath(path, folder) for path in paths]
    short = [os.path.splitext(path)[0] for path in relative]
    return short if len({*short}) == len(short) else relative
