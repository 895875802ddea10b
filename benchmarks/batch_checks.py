"""Measures what it costs to check every batch, beside a step of training.

python benchmarks/batch_checks.py
python benchmarks/batch_checks.py --image_size=224 --batch_size=256 --steps=0

The checks run on the host while the step before them trains. The first figures
are the processor time of one check; with `--steps` above zero, the same network
is then trained with and without checks in turns, and the medians are shown.
"""

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_integer("steps", 3, "Steps of the training attack; 0 for none.")
flags.DEFINE_integer("batches", 8, "Batches in a round.")
flags.DEFINE_integer("rounds", 5, "Rounds after the first, which compiles.")


def milliseconds(clock, action, rounds):
    """Returns the median time of an action by a clock, in milliseconds."""
    measured = []
    for _ in range(rounds):
        start = clock()
        action()
        measured.append(1e3 * (clock() - start))
    return statistics.median(measured)


def main(_):
    """Prints a line for each kind of images, and one for the steps."""
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    images = np.random.default_rng(0).uniform(size=(FLAGS.batch_size, *shape))
    batches = {
        "float32": images.astype("float32"),
        "uint8": (255 * images).astype("uint8"),
    }
    labels = np.arange(FLAGS.batch_size) % 10
    attack = keras_sat.PGD(steps=max(FLAGS.steps, 1))
    network = keras_sat.resnet(18, "silu", 10, shape, stem="small")
    model = keras_sat.SATModel(network, attack=attack)
    expected = model.expected_batches()
    for kind, batch in batches.items():
        check = milliseconds(
            time.thread_time, lambda b=batch: expected.check(b, labels), 20
        )
        print(f"check, {kind:8}{check:10.3f} ms")
    if not FLAGS.steps:
        return
    data = tf.data.Dataset.from_tensors((batches["float32"], labels))
    data = data.repeat(FLAGS.batches)
    seconds = {True: [], False: []}
    models = {}
    for checked in seconds:
        models[checked] = keras_sat.SATModel(network, attack=attack)
        models[checked].compile(check_every_batch=checked)
        models[checked].fit(data, verbose=0)
    for _ in range(FLAGS.rounds):
        for checked, each in models.items():
            start = time.perf_counter()
            each.fit(data, verbose=0)
            seconds[checked].append(time.perf_counter() - start)
    for checked, measured in seconds.items():
        step = 1e3 * statistics.median(measured) / FLAGS.batches
        print(f"step, checks {'on ' if checked else 'off'}{step:10.1f} ms")


if __name__ == "__main__":
    app.run(main)
