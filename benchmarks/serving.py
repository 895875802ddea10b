"""Images per second of an exported classifier, beside the model itself.

python benchmarks/serving.py --depth=50 --batch_sizes=1,32

All take turns in one process, in changing order, so that a busy machine slows
all alike. The table shows medians over the rounds; the overhead is that of the
ratio to the model, compiled as one function, in the same round. Files are read
and decoded by `serve_jpeg` alone, so its rate holds more work.
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
flags.DEFINE_integer("images", 4, "Images in a turn, at least.")
flags.DEFINE_integer("rounds", 15, "Turns of each, after the first one.")

BARE = "model(images)"


def functions(model, path):
    """From names to pairs of a function and the kind of its input."""
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
    """The same number of images in each of the forms."""
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
    """How long one call takes, on average."""
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
    # TensorFlow would describe each step of the export.
    logging.disable(logging.INFO)
    size = FLAGS.image_size
    network = keras_sat.resnet(FLAGS.depth, input_shape=(size, size, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        # The folder's functions live as long as what was loaded.
        _loaded, compared = functions(keras_sat.SATModel(network), path)
        print(f"{'batch':5}  {'function':18}{'images/s':>10}{'overhead %':>11}")
        for batch_size in map(int, FLAGS.batch_sizes):
            measure(compared, batch_size)


if __name__ == "__main__":
    app.run(main)
