"""Runs single attacks on a public network with many dead units.

python -m benchmarks.fashion_mnist --attacks=fab-t --norm=l2 --epsilon=1.5

The network is that of `tests/fixtures/fashion_mnist_convex.md`. The images are
the first 512 test images of Fashion-MNIST.
"""

import time

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat
from benchmarks import convex_network

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "attacks", ["fab-t", "square"], "Names of attacks, each run alone."
)
flags.DEFINE_string("norm", "l2", "Norm.")
flags.DEFINE_float("epsilon", 1.5, "Radius, as a fraction of the range.")
flags.DEFINE_integer("count", 512, "Number of images.")
flags.DEFINE_integer("seed", 0, "Seed.")
flags.DEFINE_bool(
    "rescale_schedule", False, "Whether Square scales its schedule."
)
flags.DEFINE_string(
    "images",
    None,
    "`.npz` file of `images` and `labels`, instead of a download.",
)


def data():
    """Returns the images, uint8, and their labels."""
    if FLAGS.images:
        with np.load(FLAGS.images) as file:
            images, labels = file["images"], file["labels"]
    else:
        images, labels = keras.datasets.fashion_mnist.load_data()[1]
    images = images.reshape(-1, 28, 28, 1)[: FLAGS.count]
    return images, labels[: FLAGS.count].astype("int32")


def main(_):
    """Prints the accuracy that each attack leaves."""
    model = convex_network.build()
    for name in FLAGS.attacks:
        attack = name
        if name == "square":
            attack = keras_sat.Square(rescale_schedule=FLAGS.rescale_schedule)
        start = time.process_time()
        report = keras_sat.evaluate_robustness(
            model,
            data(),
            attack,
            epsilon=FLAGS.epsilon,
            norm=FLAGS.norm,
            seed=FLAGS.seed,
            diagnose=False,
            verbose=0,
        )
        seconds = time.process_time() - start
        robust = f"{report.robust_accuracy:.2%}"
        print(f"{name}: {robust}, {seconds:.0f} s of processor time")


if __name__ == "__main__":
    app.run(main)
