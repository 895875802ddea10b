"""From encoded images to batches: order, decoding, augmentation, sharding."""

import os

import tensorflow as tf
from absl import logging

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat.data import decoding
from keras_sat.data import sources
from keras_sat.data.augmentation import Augmentation

CORRUPT = ("error", "skip")


def load(
    name,
    split,
    *,
    data_dir=None,
    training=False,
    batch_size=64,
    image_size=224,
    seed=0,
    augmentation=None,
    **options,
):
    """A split of a dataset that tensorflow-datasets has prepared.

    Images are decoded in parallel and stay uint8 on their way to the device,
    where `SATModel` scales them. Nothing is downloaded.

    Args:
        name: str. `"imagenet2012"`, `"imagenette"`, `"cifar10"`, `"cifar100"`
            or another classification dataset of tensorflow-datasets.
        split: str. For example `"train"`, `"validation"`, `"test[:1000]"`.
        data_dir: str or path-like. Where the prepared data is. Defaults to
            the folder that tensorflow-datasets uses.
        training: bool. As of `image_folder`. Defaults to `False`.
        batch_size: int >= 1. As of `image_folder`. Defaults to `64`.
        image_size: int >= 1. Height and width. Defaults to `224`.
        seed: int >= 0. As of `image_folder`. Defaults to `0`.
        augmentation: `Augmentation`, used if `training`. Defaults to the
            random crop and the flip.
        **options: `resizing`, `cache`, `corrupt`, `shuffle_buffer` and
            `input_context` of `image_folder`.

    Returns:
        `tf.data.Dataset` as of `image_folder`.

    Raises:
        ImportError: If tensorflow-datasets is missing.
        ValueError: If there is no such dataset or split, or if it is not
            prepared; the message says how to prepare it.

    Example:

    ```python
    train_ds = keras_sat.data.load("imagenet2012", "train", training=True)
    test_ds = keras_sat.data.load("imagenet2012", "validation")
    model.fit(train_ds, validation_data=test_ds)
    ```
    """
    source = sources.prepared(name, split, data_dir)
    return _batches(
        source,
        training=training,
        batch_size=batch_size,
        image_size=image_size,
        seed=seed,
        augmentation=augmentation,
        **options,
    )


def image_folder(
    directory,
    *,
    class_names=None,
    training=False,
    batch_size=64,
    image_size=224,
    seed=0,
    augmentation=None,
    **options,
):
    """A folder with a sub-folder of images for each class.

    JPEG, PNG, WebP, BMP and GIF (the first frame) are read; gray is repeated in
    the three channels, CMYK is converted, 16 bits are cut to 8, alpha is left
    out.

    Args:
        directory: str or path-like.
        class_names: sequence of str, or path of a text file with a name a
            line: the order of the classes, for example that of another folder.
            Must name every sub-folder. Defaults to the alphabetical order.
        training: bool. `True` shuffles, crops at random, mirrors, and leaves
            out images that do not fill a batch. `False` crops the centre and
            gives every image, in a fixed order. Defaults to `False`.
        batch_size: int >= 1. Images in a batch, over all replicas and workers.
            Defaults to `64`.
        image_size: int >= 1. Height and width. Defaults to `224`.
        seed: int >= 0. The same seed gives the same order and augmentation in
            every run; both change from epoch to epoch. Defaults to `0`.
        augmentation: `Augmentation`, used if `training`. Defaults to the
            random crop and the flip.
        **options:
            resizing: `"tf1_bicubic"`, the kernel of the official EfficientNet
                code; `"bicubic"`, the one of `tf.image.resize`; or
                `"cv2_bicubic"`, the official ResNet evaluation. Defaults to
                `"tf1_bicubic"`.
            cache: bool or str. Whether the encoded images are kept in memory,
                or in which file. Defaults to `False`.
            corrupt: `"error"`, which ends with the name of an image that
                cannot be decoded, or `"skip"`, which leaves it out and adds its
                name to `corrupt_images`. Defaults to `"error"`.
            shuffle_buffer: int >= 1. Encoded images among which the next one
                is drawn. Defaults to `4096`; a folder is always shuffled whole.
            input_context: `tf.distribute.InputContext`, which
                `strategy.distribute_datasets_from_function` passes: the dataset
                then gives the share of this worker, in batches for one replica.

    Returns:
        `tf.data.Dataset` of uint8 images `(batch, image_size, image_size, 3)`
        and int64 labels `(batch,)`; with MixUp or CutMix, float32 labels
        `(batch, num_classes)`. It has the attributes `class_names`,
        `num_classes`, `num_batches` (int, the batches of an epoch if no image
        is left out), `epoch` (int64 `tf.Variable`, the epoch that the next
        iteration gives; assign to it to go on elsewhere) and `corrupt_images`
        (set of str, the names left out so far).

    Raises:
        TypeError: If an argument is of another kind.
        ValueError: If the folder is missing, has fewer than two classes or a
            class without images, or if `class_names` disagrees.

    Example:

    ```python
    train_ds = keras_sat.data.image_folder("flowers/train", training=True)
    model = keras_sat.resnet(50, num_classes=train_ds.num_classes)
    ```
    """
    source = sources.folder(directory, class_names)
    return _batches(
        source,
        training=training,
        batch_size=batch_size,
        image_size=image_size,
        seed=seed,
        augmentation=augmentation,
        **options,
    )


def _batches(
    source,
    *,
    training,
    batch_size,
    image_size,
    seed,
    augmentation,
    resizing="tf1_bicubic",
    cache=False,
    corrupt="error",
    shuffle_buffer=4096,
    input_context=None,
):
    checks.integer("batch_size", batch_size)
    checks.integer("image_size", image_size)
    checks.integer("seed", seed, least=0)
    checks.integer("shuffle_buffer", shuffle_buffer)
    checks.one_of("corrupt", corrupt, CORRUPT)
    checks.lookup("resizing", resizing, preprocessing.RESIZINGS)
    if augmentation is None:
        augmentation = Augmentation()
    if not isinstance(augmentation, Augmentation):
        checks.refuse(
            "augmentation", "be an Augmentation", augmentation, error=TypeError
        )
    if training and batch_size > source.size:
        checks.refuse(
            "batch_size",
            f"be at most {source.size}, the number of training images",
            batch_size,
        )
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
    skipped = set()
    examples, read = _examples(
        source, training, seed, epoch, cache, shuffle_buffer
    )
    if input_context is not None:
        batch_size = input_context.get_per_replica_batch_size(batch_size)
        examples = examples.shard(
            input_context.num_input_pipelines, input_context.input_pipeline_id
        )
    full, rest = divmod(int(examples.cardinality()), batch_size)
    num_batches = full + (rest > 0 and not training)
    view = _view(training, image_size, resizing, augmentation)
    skips = corrupt == "skip"
    batches = decoding.attempted(
        examples,
        lambda name, payload, label, seed: (
            view(read(payload), seed),
            label,
            seed,
        ),
        _skipping(skipped) if skips else _refuse_image,
        batch_size,
        drop_remainder=training and not skips,
    )
    if skips:
        batches = batches.unbatch().batch(batch_size, drop_remainder=training)
    else:
        exactly = tf.data.experimental.assert_cardinality(num_batches)
        batches = batches.apply(exactly)
    num_classes = len(source.class_names)
    mix = augmentation.batch_function(num_classes) if training else None
    batches = _finished(batches, mix)
    batches.class_names = source.class_names
    batches.num_classes = num_classes
    batches.num_batches = num_batches
    batches.epoch = epoch
    batches.corrupt_images = skipped
    return batches


def _examples(source, training, seed, epoch, cache, buffer):
    """Encoded images in the order of their use, each with a seed of its own.

    Returns:
        `tf.data.Dataset` of `(name, payload, label, seed)`, and the function
        that reads a payload.
    """
    examples, read = source.examples, source.read
    if cache:
        kept = source.examples(None).map(
            lambda name, payload, label: (name, source.read(payload), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        kept = kept.cache("" if cache is True else os.fspath(cache))
        examples, read = (lambda seed: kept), tf.identity
    if source.light or cache is True:
        buffer = source.size

    def numbered(examples, key):
        return examples.enumerate().map(
            lambda i, example: (*example, tf.stack([key, i]))
        )

    def one_epoch(number):
        # Else the seed of the process changes the order, too; and if that is
        # 0, `shuffle` takes no tensor as its seed.
        tf.compat.v1.get_default_graph().seed = None
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        keys = tf.cast(tf.random.split(seeds, 2)[:, 0], tf.int64)
        ordered = examples(keys[0]).shuffle(buffer, keys[0], False)
        return numbered(ordered, keys[1])

    if not training:
        return numbered(examples(None), tf.constant(0, tf.int64)), read
    # The number is read when an iteration begins.
    numbers = tf.data.Dataset.from_tensors(0)
    numbers = numbers.map(lambda _: epoch.assign_add(1) - 1)
    stream = numbers.flat_map(
        tf.autograph.experimental.do_not_convert(one_epoch)
    )
    size = tf.data.experimental.assert_cardinality(source.size)
    return stream.apply(size), read


def _view(training, size, resizing, augmentation):
    """The function from an encoded image and a seed to a uint8 image."""

    def centre(contents, seed):
        return preprocessing.evaluation_image(contents, size, size, resizing)

    if not training:
        return centre
    resize = preprocessing.RESIZINGS[resizing]
    change_colors = augmentation.color_function()

    def random_part(contents, seed):
        seeds = tf.random.split(seed, 3)
        image = resize(augmentation.crop(contents, seeds[0]), size, size)
        image = tf.ensure_shape(image, (size, size, 3))
        image = preprocessing.to_uint8(change_colors(image, seeds[1]))
        if not augmentation.flip:
            return image
        return tf.cond(
            tf.random.stateless_uniform([], seeds[2]) < 0.5,
            lambda: image,
            lambda: tf.reverse(image, [1]),
        )

    return random_part


def _refuse_image(name):
    """Ends the dataset. For the graph, a false bool tensor."""
    message = "Cannot decode the image"
    with tf.control_dependencies([tf.debugging.Assert(False, [message, name])]):
        return tf.constant(False)


def _skipping(skipped):
    """A function that adds the name of an image to the set `skipped`."""

    def note(name):
        skipped.add(name.decode())
        logging.warning("Skipped an image that cannot be decoded: %s", name)
        return False

    def skip(name):
        return tf.ensure_shape(tf.numpy_function(note, [name], tf.bool), ())

    return skip


def _finished(batches, mix):
    if mix is not None:
        batches = batches.map(
            lambda images, labels, seeds: mix(images, labels, seeds[0]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    else:
        batches = batches.map(lambda images, labels, seeds: (images, labels))
    options = tf.data.Options()
    # Every worker would find all images in every file.
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    options.deterministic = True
    # Images are small: one thread each is faster.
    options.threading.max_intra_op_parallelism = 1
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
