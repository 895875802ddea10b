"""The places that encoded images are read from: folders, and tfds."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import extras
from keras_sat.data import exif_notes

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
KNOWN = ("cifar10", "cifar100", "imagenet2012", "imagenette")
# At most this many names stand in an error; a folder may have thousands.
MAX_NAMES_IN_ERROR = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A collection of encoded images with their labels.

    Args:
        place: str. Where they are, for messages.
        examples: function from a seed, or from `None` for a fixed order, to a
            `tf.data.Dataset` of `(name, payload, label)`. The name of the file
            or record is for messages. The payload, a string tensor, is the path
            of an image, or the encoded image itself. The label is an int64. The
            seed decides in which order files with many images are read.
        read: function from a payload to the encoded image.
        fits_in_memory: bool. Whether payloads are so small that all of them
            can be shuffled in memory, like paths.
        size: int. Number of images.
        class_names: tuple of str, one for each label.
        is_gray: bool. Whether images have one channel instead of three.
            Defaults to `False`.
        file_paths: tuple of str, one for each image in the fixed order, if each
            is a file of its own. Defaults to none.
    """

    place: str
    examples: Callable
    read: Callable
    fits_in_memory: bool
    size: int
    class_names: tuple
    is_gray: bool = False
    file_paths: tuple = ()


def from_folder(directory, class_names=None, part=None):
    """Returns the images of a folder that has a sub-folder for each class.

    Args:
        directory: str or path-like.
        class_names: see `image_datasets.image_folder`.
        part: function from the number of images to the indices of those that
            are wanted. Defaults to all of them.

    Returns:
        `Source`.

    Raises:
        ValueError: If there is no such folder, if it has fewer than two classes
            or a class without images, or if `class_names` disagrees.
    """
    directory = checks.path("directory", directory)
    if not os.path.isdir(directory):
        checks.refuse("directory", "be an existing folder", directory)
    found = sorted(
        entry.name
        for entry in os.scandir(directory)
        if entry.is_dir() and not entry.name.startswith(".")
    )
    if len(found) < 2:
        checks.refuse(
            "directory",
            "hold a sub-folder for each of 2 or more classes",
            checks.Described(f"{directory!r} with the sub-folders {found}"),
        )
    names = _checked_names(class_names, found)
    paths, labels = [], []
    for label, name in enumerate(names):
        images = _images(os.path.join(directory, name))
        paths += images
        labels += [label] * len(images)
    if part is not None:
        indices = part(len(paths))
        paths = [paths[i] for i in indices]
        labels = [labels[i] for i in indices]
    # A path is the name and the payload.
    dataset = tf.data.Dataset.from_tensor_slices(
        (paths, paths, np.array(labels, np.int64))
    )
    exif_notes.say_turned(paths)
    return Source(
        place=directory,
        examples=lambda seed: dataset,
        read=tf.io.read_file,
        fits_in_memory=True,
        size=len(paths),
        class_names=names,
        file_paths=tuple(paths),
    )


def _checked_names(class_names, found):
    """Returns the names of the classes in their order.

    Args:
        class_names: sequence of str, path of a file with a name in each line,
            or `None`.
        found: list of str. The names of the sub-folders, sorted.

    Returns:
        tuple of str.

    Raises:
        ValueError: If these are not the names of the sub-folders.
    """
    if class_names is None:
        return tuple(found)
    if isinstance(class_names, str | os.PathLike):
        if not os.path.isfile(class_names):
            checks.refuse(
                "class_names", "be names, or an existing file", class_names
            )
        with open(class_names, encoding="utf-8") as file:
            class_names = file.read().split("\n")
        class_names = [name.strip() for name in class_names if name.strip()]
    names = tuple(class_names)
    if sorted(names) != found:
        missing = sorted(set(names) - set(found))[:MAX_NAMES_IN_ERROR]
        extra = sorted(set(found) - set(names))[:MAX_NAMES_IN_ERROR]
        checks.refuse(
            "class_names",
            "name every sub-folder once and nothing else",
            checks.Described(
                f"{len(names)} names for {len(found)} sub-folders; without a "
                f"sub-folder: {missing}; without a name: {extra}"
            ),
        )
    return names


def is_image(name):
    """Tells if a file is taken for an image, by its name."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def _images(directory):
    """Lists the image files in the folder of a class, in a fixed order."""
    paths = sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(directory)
        for name in names
        if is_image(name)
    )
    if not paths:
        checks.refuse(
            "directory",
            f"hold an image ({', '.join(EXTENSIONS)}) in every sub-folder",
            checks.Described(f"none in {directory!r}"),
        )
    return paths


def prepare_tfds(name, data_dir=None):
    """Lets tensorflow-datasets download a dataset, unless it is there.

    Args:
        name: str. For example `"cifar10"`.
        data_dir: str or path-like. See `image_datasets.load`.

    Raises:
        ImportError: If tensorflow-datasets is missing.
    """
    with extras.needed("data"):
        import tensorflow_datasets as tfds

    tfds.builder(name, data_dir=data_dir).download_and_prepare()


def from_tfds(name, split, data_dir=None):
    """Returns a split of a dataset that tensorflow-datasets has prepared.

    Args:
        name: str. See `image_datasets.load`.
        split: str. See `image_datasets.load`.
        data_dir: str or path-like. See `image_datasets.load`.

    Returns:
        `Source`.

    Raises:
        ImportError: If tensorflow-datasets is missing.
        ValueError: If there is no such dataset or split, if it is not one for
            classification, or if it is not prepared.
    """
    with extras.needed("data"):
        import tensorflow_datasets as tfds

    builder = _builder(tfds, name, data_dir)
    image, label = _feature_names(tfds, name, builder)

    def examples(seed):
        config = tfds.ReadConfig(
            add_tfds_id=True,
            shuffle_seed=seed,
            # The pipeline gives another seed in each epoch.
            shuffle_reshuffle_each_iteration=False,
            try_autocache=False,
        )
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=seed is not None,
            # The pipeline decodes, and no more than the crop.
            decoders={image: tfds.decode.SkipDecoding()},
            read_config=config,
        )
        return dataset.map(
            lambda x: (x["tfds_id"], x[image], tf.cast(x[label], tf.int64))
        )

    try:
        size = int(examples(None).cardinality())
    except AssertionError as error:
        # This is how tfds says that the data is not prepared.
        _refuse_unprepared(name, builder, error)
    except (KeyError, ValueError) as error:
        _refuse_split(split, builder, error)
    return Source(
        place=f"{name}, {split}",
        examples=examples,
        read=tf.identity,
        fits_in_memory=False,
        size=size,
        class_names=tuple(builder.info.features[label].names),
    )


def _builder(tfds, name, data_dir):
    """Returns the builder of a dataset of tensorflow-datasets."""
    if not isinstance(name, str):
        checks.refuse("name", "be a str", name, error=TypeError)
    if data_dir is not None and not os.path.isdir(data_dir):
        checks.refuse("data_dir", "be an existing folder", data_dir)
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        expected = (
            f"be one of {list(KNOWN)}, or another classification dataset of "
            "tensorflow-datasets, or one prepared in `data_dir`"
        )
        _refuse_because_of(error, "name", expected, name)


def _feature_names(tfds, name, builder):
    """Returns the names of the image and of the label of a dataset."""
    features = builder.info.features
    keys = builder.info.supervised_keys or ("image", "label")
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    if len(keys) != 2 or not all(
        key in features and isinstance(features[key], kind)
        for key, kind in zip(keys, kinds, strict=True)
    ):
        checks.refuse(
            "name",
            "be a dataset with one image and one class per example",
            checks.Described(f"{name!r} with the features {list(features)}"),
        )
    return keys


def _refuse_split(split, builder, error):
    """Raises an error that lists the splits of a dataset."""
    known = sorted(builder.info.splits)
    expected = f"be one of {known}, or a part of one like '{known[0]}[:100]'"
    _refuse_because_of(error, "split", expected, split)


def _refuse_unprepared(name, builder, error):
    """Raises an error that says how to prepare a dataset."""
    where = os.path.dirname(os.fspath(builder.data_dir))
    fix = f"tfds.builder({name!r}).download_and_prepare()"
    if name == "imagenet2012":
        fix = (
            "the archives ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar "
            f"in downloads/manual under the data folder, then {fix}"
        )
    _refuse_because_of(
        error,
        "data_dir",
        f"hold {name!r} as prepared by tensorflow-datasets",
        checks.Described(f"no data in {where!r}"),
        f"Prepare it once with {fix}, and with `data_dir=` for another folder.",
    )


def _refuse_because_of(error, *refusal):
    """Refuses an argument, with another error as the cause."""
    try:
        checks.refuse(*refusal)
    except ValueError as refused:
        raise refused from error
