"""From encoded images to batches: order, decoding, augmentation, sharding."""

import os

import tensorflow as tf

from keras_sat import checks
from keras_sat import preprocessing
from keras_sat import programs
from keras_sat.data import corrupt_images


def batches_of(source, options):
    """Turns encoded images into batches; see `image_datasets.image_folder`.

    Args:
        source: `sources.Source`.
        options: `image_datasets.PipelineOptions`.

    Returns:
        `tf.data.Dataset` with the elements and attributes that
        `image_datasets.image_folder` describes.
    """
    if options.training:
        check_batch_size(options.batch_size, source.size)
    # A variable, so that callbacks can set it when training is resumed.
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
    skipped = set()
    examples, read = _ordered(source, options, epoch)
    # Before decoding, so that a worker decodes its own images only.
    examples, batch_size = _share(examples, options)
    full, rest = divmod(int(examples.cardinality()), batch_size)
    num_batches = full + (rest > 0 and not options.training)
    batches = _decoded(examples, read, batch_size, options, skipped)
    if options.corrupt == "error":
        exactly = tf.data.experimental.assert_cardinality(num_batches)
        batches = batches.apply(exactly)
    num_classes = len(source.class_names)
    batches = _mixed(batches, options, num_classes)
    if source.is_gray:
        batches = batches.map(lambda images, labels: (images[..., :1], labels))
    batches = batches.with_options(_dataset_options())
    batches = batches.prefetch(tf.data.AUTOTUNE)
    batches.class_names = source.class_names
    batches.num_classes = num_classes
    batches.num_batches = num_batches
    batches.num_images = source.size
    batches.epoch = epoch
    batches.corrupt_images = skipped
    batches.file_paths = list(source.file_paths)
    if not options.training:
        batches.view = options.view.settings()
    programs.say(f"{source.place}: {source.size} images, {num_classes} classes")
    return batches


def check_batch_size(batch_size, num_images):
    """Checks that there are enough training images for one batch."""
    if batch_size > num_images:
        checks.refuse(
            "batch_size",
            f"be at most {num_images}, the number of training images",
            batch_size,
        )


def _ordered(source, options, epoch):
    """Puts the images into the order of their use, and numbers them.

    Args:
        source: `sources.Source`.
        options: `image_datasets.PipelineOptions`.
        epoch: int64 `tf.Variable`. In training, each iteration adds 1.

    Returns:
        `tf.data.Dataset` of `(name, payload, label, seed)`, where each image of
        each epoch has a seed `(2,)` of its own, and the function from a payload
        to the encoded image.
    """
    examples, read = source.examples, source.read
    # Encoded images are cached, not decoded ones, which take more memory.
    if options.cache:
        cached = _cached(source, options.cache)
        examples, read = (lambda seed: cached), tf.identity
    buffer = options.shuffle_buffer
    if source.fits_in_memory or options.cache is True:
        buffer = source.size

    def numbered(examples, key):
        return examples.enumerate().map(
            lambda i, example: (*example, tf.stack([key, i]))
        )

    if not options.training:
        return numbered(examples(None), tf.constant(0, tf.int64)), read

    def one_epoch(number):
        # Otherwise the global seed changes the order as well, and with a
        # global seed of 0, `shuffle` accepts no tensor as its seed.
        tf.compat.v1.get_default_graph().seed = None
        seeds = tf.stack([tf.constant(options.seed, tf.int64), number])
        keys = tf.cast(tf.random.split(seeds, 2)[:, 0], tf.int64)
        ordered = examples(keys[0]).shuffle(buffer, keys[0], False)
        return numbered(ordered, keys[1])

    # A `map`, so that the number is read when an iteration begins, not now.
    numbers = tf.data.Dataset.from_tensors(0)
    numbers = numbers.map(lambda _: epoch.assign_add(1) - 1)
    stream = numbers.flat_map(
        tf.autograph.experimental.do_not_convert(one_epoch)
    )
    size = tf.data.experimental.assert_cardinality(source.size)
    return stream.apply(size), read


def _cached(source, cache):
    """Keeps the encoded images of a source in memory or in a file."""
    encoded = source.examples(None).map(
        lambda name, payload, label: (name, source.read(payload), label),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    return encoded.cache("" if cache is True else os.fspath(cache))


def _share(examples, options):
    """Returns the images of this worker, and the batch size of a replica."""
    context = options.input_context
    if context is None:
        return examples, options.batch_size
    examples = examples.shard(
        context.num_input_pipelines, context.input_pipeline_id
    )
    return examples, context.get_per_replica_batch_size(options.batch_size)


def _decoded(examples, read, batch_size, options, skipped):
    """Decodes, crops and resizes the images of each batch.

    Args:
        examples: `tf.data.Dataset` of `(name, payload, label, seed)`.
        read: function from a payload to the encoded image.
        batch_size: int.
        options: `image_datasets.PipelineOptions`.
        skipped: set, which gets the names of the images that are left out.

    Returns:
        `tf.data.Dataset` of batches of uint8 images, labels and seeds.
    """
    view = _training_view if options.training else _evaluation_view
    view = view(options)
    skips = options.corrupt == "skip"
    batches = corrupt_images.decode_batches(
        examples,
        lambda name, payload, label, seed: (
            view(read(payload), seed),
            label,
            seed,
        ),
        corrupt_images.skip_and_note(skipped)
        if skips
        else corrupt_images.raise_error,
        batch_size,
        # A last batch with fewer images than replicas would make the batch
        # statistics of a replica without images NaN.
        drop_remainder=options.training and not skips,
    )
    if skips:
        # Fills the gaps that images left in their batches.
        batches = batches.unbatch().batch(
            batch_size, drop_remainder=options.training
        )
    return batches


def _evaluation_view(options):
    """Returns the function from an encoded image to its resized centre."""
    seen = options.view

    def view(contents, seed):
        return seen.image(contents, *options.size, options.channels)

    return view


def _training_view(options):
    """Returns the function from an encoded image to a random view of it.

    Args:
        options: `image_datasets.PipelineOptions`.

    Returns:
        Function from an encoded image and a seed `(2,)` to a uint8 image
        `(height, width, channels)`.
    """
    # Here and not in the model, where Keras's layers for augmentation would
    # turn XLA off.
    size, augmentation = options.size, options.augmentation
    resize = preprocessing.RESIZINGS[options.resizing]
    change_colors = augmentation.color_function()

    def view(contents, seed):
        seeds = tf.random.split(seed, 3)
        image = resize(augmentation.crop(contents, seeds[0]), *size)
        image = tf.ensure_shape(image, (*size, 3))
        image = preprocessing.to_uint8(change_colors(image, seeds[1]))
        # At last, because the augmentations of color need three channels.
        if options.channels == 1:
            image = preprocessing.to_gray(image)
        if not augmentation.flip:
            return image
        return tf.cond(
            tf.random.stateless_uniform([], seeds[2]) < 0.5,
            lambda: image,
            lambda: tf.reverse(image, [1]),
        )

    return view


def _mixed(batches, options, num_classes):
    """Applies MixUp and CutMix, and leaves out the seeds."""
    mix = None
    if options.training:
        mix = options.augmentation.batch_function(num_classes)
    if mix is None:
        return batches.map(lambda images, labels, seeds: (images, labels))
    return batches.map(
        lambda images, labels, seeds: mix(images, labels, seeds[0]),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _dataset_options():
    options = tf.data.Options()
    # By files, every worker would find all images in every file.
    policy = tf.data.experimental.AutoShardPolicy.DATA
    options.experimental_distribute.auto_shard_policy = policy
    options.deterministic = True
    # Images are small: one thread for each is faster.
    options.threading.max_intra_op_parallelism = 1
    return options
