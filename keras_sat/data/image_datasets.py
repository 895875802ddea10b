"""Datasets of images: those of tensorflow-datasets, and folders."""

import dataclasses
import os

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.data import folder_split
from keras_sat.data import pipeline
from keras_sat.data import sources
from keras_sat.data.augmentation import Augmentation

CORRUPT = ("error", "skip")


def load(name, split, *, data_dir=None, **options):
    """Returns a split of a dataset that tensorflow-datasets has prepared.

    Images are decoded in parallel and stay uint8 on their way to the device,
    where `SATModel` scales them. Nothing is downloaded.

    Args:
        name: str. `"imagenet2012"`, `"imagenette"`, `"cifar10"`, `"cifar100"`
            or another classification dataset of tensorflow-datasets.
        split: str. For example `"train"`, `"validation"`, `"test[:1000]"`.
        data_dir: str or path-like. The folder with the prepared data. Defaults
            to the folder that tensorflow-datasets uses.
        **options: the same as for `image_folder`: `training`, `batch_size`,
            `image_size`, `channels`, `seed`, `augmentation`, `resizing`,
            `crop`, `crop_padding`, `cache`, `corrupt`, `shuffle_buffer` and
            `input_context`.

    Returns:
        `tf.data.Dataset` with the elements and attributes that `image_folder`
        describes.

    Raises:
        ImportError: If tensorflow-datasets is missing.
        TypeError: If an argument is of another kind, or not known.
        ValueError: If there is no such dataset or split, or if it is not
            prepared; the message says how to prepare it.

    Example:

    ```python
    train_ds = keras_sat.data.load("imagenet2012", "train", training=True)
    test_ds = keras_sat.data.load("imagenet2012", "validation")
    model.fit(train_ds, validation_data=test_ds)
    ```
    """
    options = PipelineOptions(**options)
    return pipeline.batches_of(
        sources.from_tfds(name, split, data_dir), options
    )


def image_folder(
    directory,
    *,
    class_names=None,
    validation_split=None,
    subset=None,
    **options,
):
    """Returns the images of a folder that has a sub-folder for each class.

    JPEG, PNG, WebP, BMP and GIF (the first frame) are read; CMYK is converted,
    16 bits are cut to 8, alpha is left out. Gray is repeated in three channels,
    unless `channels=1`.

    Args:
        directory: str or path-like.
        class_names: sequence of str, or path of a text file with one name per
            line: the order of the classes, for example that of another folder.
            Must name every sub-folder. Defaults to the alphabetical order.
        validation_split: float in `(0, 1)`. Share of the images that is held
            out for validation, drawn by `seed`; the same images as those of
            `keras.utils.image_dataset_from_directory` from the same files.
            Defaults to `None`: the folder is not divided.
        subset: str. With `validation_split`, the part that is wanted:
            `"training"`, `"validation"`, or `"both"`, for a pair of datasets,
            of which `training` holds for the first one only.
        **options:
            training: bool. `True` shuffles, crops at random, mirrors, and
                leaves out images that do not fill a batch. `False` crops the
                centre and gives every image, in a fixed order. Defaults to
                `False`.
            batch_size: int >= 1. Images in a batch, over all replicas and
                workers. Defaults to `64`.
            image_size: int >= 1, or pair of them. Height and width. Defaults
                to `224`.
            channels: int. `3` for RGB, or `1` for gray: the brightness of
                pictures in color. Defaults to `3`.
            seed: int >= 0. The same seed gives the same order and augmentation
                in every run; both change from epoch to epoch. Defaults to `0`.
            augmentation: `Augmentation`, used if `training`. Defaults to the
                random crop and the flip.
            resizing: `"tf1_bicubic"`, the kernel of the official EfficientNet
                code; `"bicubic"`, the one of `tf.image.resize`; or
                `"cv2_bicubic"`, the official ResNet evaluation. Defaults to
                `"tf1_bicubic"`.
            crop: str. Used if not `training`: what is kept of a picture.
                `"margin"`: the centre, without a margin; `"centre"`: all of the
                largest window of the right proportions; `"none"`: the whole
                picture, squeezed if it is not square. Defaults to `"margin"`.
            crop_padding: int >= 0. Used with `"margin"`: pixels of the result
                that are cut off, both sides together. Defaults to `32`.
            cache: bool or str. Whether the encoded images are kept in memory,
                or in which file. Defaults to `False`.
            corrupt: `"error"`, which raises an error with the name of an image
                that cannot be decoded, or `"skip"`, which leaves it out and
                adds its name to `corrupt_images`. Defaults to `"error"`.
            shuffle_buffer: int >= 1. Encoded images among which the next one
                is drawn. Defaults to `4096`; a folder is always shuffled whole.
            input_context: `tf.distribute.InputContext`, which
                `strategy.distribute_datasets_from_function` passes: the dataset
                then gives the share of this worker, in batches for one replica.

    Returns:
        `tf.data.Dataset` of uint8 images `(batch, height, width, channels)`
        and int64 labels `(batch,)`; with MixUp or CutMix, float32
        labels `(batch, num_classes)`. It has the attributes `class_names`,
        `num_classes`, `num_images`, `num_batches` (int, the batches of an epoch
        if no image is left out), `epoch` (int64 `tf.Variable`, the epoch that
        the next iteration gives; assign to it to continue from another epoch),
        `corrupt_images` (set of str, the names left out so far), `file_paths`
        (list of str, the files of a folder in their fixed order) and, if not
        `training`, `view`: a dict of `crop`, `crop_padding` and `resizing`,
        which `SATModel.export` takes and reports of robustness name. With
        `subset="both"`, a pair of these.

    Raises:
        TypeError: If an argument is of another kind, or not known.
        ValueError: If `validation_split` and `subset` do not fit together or
            leave a part without images; if the folder is missing, has fewer
            than two classes or a class without images, or if `class_names`
            disagrees.

    Example:

    ```python
    train_ds = keras_sat.data.image_folder("flowers/train", training=True)
    model = keras_sat.resnet(50, num_classes=train_ds.num_classes)
    ```
    """
    options = PipelineOptions(**options)
    folder_split.check(validation_split, subset)

    def batches(part, options):
        choose = folder_split.chooser(part, validation_split, options.seed)
        source = sources.from_folder(directory, class_names, choose)
        return pipeline.batches_of(source, options)

    if subset != "both":
        return batches(subset, options)
    held_out = dataclasses.replace(options, training=False)
    return batches("training", options), batches("validation", held_out)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """The options of `image_folder` that say how images become batches."""

    training: bool = False
    batch_size: int = 64
    image_size: int | tuple = 224
    channels: int = 3
    seed: int = 0
    augmentation: Augmentation | None = None
    resizing: str = "tf1_bicubic"
    crop: str = "margin"
    crop_padding: int = preprocessing.CROP_PADDING
    cache: bool | str | os.PathLike = False
    corrupt: str = "error"
    shuffle_buffer: int = 4096
    input_context: tf.distribute.InputContext | None = None

    def __post_init__(self):
        checks.integer("batch_size", self.batch_size)
        for size in self.size:
            checks.integer("image_size", size)
        checks.integer("seed", self.seed, least=0)
        checks.integer("shuffle_buffer", self.shuffle_buffer)
        checks.one_of("corrupt", self.corrupt, CORRUPT)
        if self.channels not in preprocessing.CHANNELS:
            checks.refuse(
                "channels", "be 1, for gray, or 3, for RGB", self.channels
            )
        # It checks the options that it is made of.
        self.view  # noqa: B018
        if self.augmentation is None:
            object.__setattr__(self, "augmentation", Augmentation())
        if not isinstance(self.augmentation, Augmentation):
            checks.refuse(
                "augmentation",
                "be an Augmentation",
                self.augmentation,
                error=TypeError,
            )

    @property
    def size(self):
        """The height and the width of the images."""
        if isinstance(self.image_size, tuple | list):
            if len(self.image_size) != 2:
                expected = "be an integer, or a pair of height and width"
                checks.refuse("image_size", expected, self.image_size)
            return tuple(self.image_size)
        return self.image_size, self.image_size

    @property
    def view(self):
        """The `preprocessing.View` of the images, if not `training`."""
        return preprocessing.View(
            crop=self.crop,
            crop_padding=self.crop_padding,
            resizing=self.resizing,
        )
