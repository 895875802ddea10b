"""Measures images per second of the training pipeline, beside decoding alone.

python benchmarks/input_pipeline.py --images=1000 --rounds=5

The same JPEGs of 375x500 pixels, the usual size in ImageNet, are read in five
ways that take turns:

- whole images by `tf.io.decode_jpeg` and nothing else, which is the limit;
- a window of each, by one operation of TensorFlow;
- the same window, resized by one more operation;
- cropped, mirrored and resized by `keras_sat.data.image_folder`;
- resized by `keras.utils.image_dataset_from_directory`.

The table shows medians over the rounds: images per second, and images per
second of processor time. With few images, most of the time goes into starting
to read.
"""

import os
import statistics
import tempfile
import time

import keras
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 1000, "JPEGs to write.")
flags.DEFINE_integer("rounds", 5, "Rounds after the first, which warms up.")
flags.DEFINE_integer("image_size", 224, "Height and width of the results.")
HEIGHT, WIDTH = 375, 500
# Top, left, height and width: 51 % of the image.
WINDOW = 40, 60, 290, 330
BATCH_SIZE = 20


def write_images(directory):
    """Writes random images of two classes, smooth except for some noise."""
    for i in range(FLAGS.images):
        folder = os.path.join(directory, f"class{i % 2}")
        os.makedirs(folder, exist_ok=True)
        coarse = tf.random.stateless_uniform([12, 16, 3], (i, 0), 0, 255)
        image = tf.image.resize(coarse, (HEIGHT, WIDTH), "bicubic")
        image += 8.0 * tf.random.stateless_normal(image.shape, (i, 1))
        image = tf.cast(tf.clip_by_value(image, 0, 255), tf.uint8)
        path = os.path.join(folder, f"{i}.jpg")
        tf.io.write_file(path, tf.io.encode_jpeg(image, quality=95))


def of_files(directory, function):
    """Returns a dataset of a function's results for the contents of files."""
    files = tf.data.Dataset.list_files(f"{directory}/*/*.jpg", shuffle=False)
    results = files.map(
        lambda path: function(tf.io.read_file(path)),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    return results.with_options(options).prefetch(tf.data.AUTOTUNE)


def decode_window(contents):
    """Decodes a window, which has the mean size of random crops."""
    return tf.io.decode_and_crop_jpeg(contents, WINDOW, channels=3)


def decoded(directory):
    """Whole images, decoded and no more."""
    return of_files(directory, lambda x: tf.io.decode_jpeg(x, channels=3))


def cropped(directory):
    """A fixed window, decoded and no more."""
    return of_files(directory, decode_window)


def resized(directory):
    """The same window, bicubic, float32."""

    def resize(contents):
        images = tf.cast(decode_window(contents), tf.float32)[tf.newaxis]
        size = FLAGS.image_size, FLAGS.image_size
        return tf.raw_ops.ResizeBicubic(images=images, size=size)

    return of_files(directory, resize)


def augmented(directory):
    """Random crops, mirrored, bicubic, uint8."""
    return keras_sat.data.image_folder(
        directory,
        training=True,
        batch_size=BATCH_SIZE,
        image_size=FLAGS.image_size,
    )


def by_keras(directory):
    """Whole images, bilinear, float32."""
    return keras.utils.image_dataset_from_directory(
        directory,
        image_size=(FLAGS.image_size, FLAGS.image_size),
        batch_size=BATCH_SIZE,
        verbose=False,
    )


def rates(dataset):
    """Returns images per second, and per second of processor time."""
    start = time.perf_counter(), time.process_time()
    for _ in dataset:
        pass
    end = time.perf_counter(), time.process_time()
    return [FLAGS.images / (b - a) for a, b in zip(start, end, strict=True)]


def main(_):
    """Prints a line for each way."""
    with tempfile.TemporaryDirectory() as directory:
        write_images(directory)
        makers = decoded, cropped, resized, augmented, by_keras
        ways = {maker.__doc__: maker(directory) for maker in makers}
        found = {name: [] for name in ways}
        for _ in range(FLAGS.rounds + 1):
            for name, dataset in ways.items():
                found[name].append(rates(dataset))
    print(f"{'':40}  wall  of the limit  processor  of the limit")
    for name, rounds in found.items():
        cells = []
        for column in (0, 1):
            values = [rate[column] for rate in rounds[1:]]
            limits = [rate[column] for rate in found[decoded.__doc__][1:]]
            pairs = zip(values, limits, strict=True)
            cells.append(statistics.median(values))
            cells.append(statistics.median(a / b for a, b in pairs))
        wall, wall_ratio, cpu, cpu_ratio = cells
        print(
            f"{name:40} {wall:5.0f} {wall_ratio:13.2f} {cpu:10.0f}"
            f" {cpu_ratio:13.2f}"
        )


if __name__ == "__main__":
    app.run(main)
