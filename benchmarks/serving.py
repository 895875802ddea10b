"""Measures images per second of an exported classifier, beside the model.

python benchmarks/serving.py --depth=50 --batch_sizes=1,32

All functions take turns in one process, in changing order, so that a busy
machine slows all of them alike. The table shows medians over the rounds. The
overhead is the median of the ratio to the time of the model, compiled as one
function, in the same round. Only `serve_jpeg` decodes files, so it does more
work.
"""

import logging
import os
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_integer("depth", 50, "Depth of the ResNet.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_list("batch_sizes", ["1", "32"], "Images in a request.")
flags.DEFINE_integer("images", 4, "Least number of images in a turn.")
flags.DEFINE_integer("rounds", 15, "Turns of each function after the first.")

BARE = "model(images)"


def functions(model, path):
    """Exports a model and loads it.

    Returns:
        The loaded SavedModel, and a dict from the name of each function to the
        function and the kind of its input.
    """
    model.export(path)
    loaded = tf.saved_model.load(path)
    served = loaded.signatures
    bare = tf.function(lambda images: model(images, training=False))
    return loaded, {
        BARE: (lambda x: bare(x), "floats"),
        "predict_on_batch": (model.model.predict_on_batch, "floats"),
        "serving_default": (
            lambda x: served["serving_default"](images=x)["logits"],
            "floats",
        ),
        "serve_uint8": (
            lambda x: served["serve_uint8"](images=x)["logits"],
            "pixels",
        ),
        "serve_jpeg": (
            lambda x: served["serve_jpeg"](image_bytes=x)["logits"],
            "files",
        ),
    }


def requests(batch_size):
    """Returns the same number of images in each kind of input."""
    size = FLAGS.image_size
    generator = np.random.default_rng(0)
    shape = (batch_size, size, size, 3)
    pixels = generator.integers(0, 256, shape, np.uint8)
    photo = tf.image.resize(pixels[0, :16, :16], (375, 500))
    file = tf.io.encode_jpeg(tf.cast(photo, tf.uint8))
    return {
        "floats": tf.constant(pixels.astype("float32") / 255),
        "pixels": tf.constant(pixels),
        "files": tf.repeat(file, batch_size),
    }


def seconds(function, request, repeats):
    """Returns how many seconds a call takes, on average."""
    start = time.perf_counter()
    for _ in range(repeats):
        np.asarray(function(request))
    return (time.perf_counter() - start) / repeats


def measure(compared, batch_size):
    """Prints the lines of the table for one batch size."""
    forms = requests(batch_size)
    repeats = max(FLAGS.images // batch_size, 1)
    times = {name: [] for name in compared}
    for number in range(FLAGS.rounds + 1):
        order = list(compared) if number % 2 else list(compared)[::-1]
        for name in order:
            function, form = compared[name]
            times[name].append(seconds(function, forms[form], repeats))
    for name, measured in times.items():
        speed = batch_size / statistics.median(measured[1:])
        pairs = zip(measured[1:], times[BARE][1:], strict=True)
        ratio = statistics.median(taken / bare for taken, bare in pairs)
        print(
            f"{batch_size:5}  {name:18}{speed:10.2f}{100 * ratio - 100:+11.1f}"
        )


def main(_):
    """Exports a network and measures it."""
    # Else TensorFlow describes each step of the export.
    logging.disable(logging.INFO)
    size = FLAGS.image_size
    network = keras_sat.resnet(FLAGS.depth, input_shape=(size, size, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        # The functions can be called as long as the loaded object is there.
        _loaded, compared = functions(keras_sat.SATModel(network), path)
        print(f"{'batch':5}  {'function':18}{'images/s':>10}{'overhead %':>11}")
        for batch_size in map(int, FLAGS.batch_sizes):
            measure(compared, batch_size)


if __name__ == "__main__":
    app.run(main)
