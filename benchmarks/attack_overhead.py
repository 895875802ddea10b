"""Measures how much of an attack's time its predictions and gradients take.

.venv-compare/bin/python -m benchmarks.attack_overhead

Compares APGD with 100 steps with 101 gradients alone, and Square with 500
queries with 501 predictions alone, in this package and in torchattacks. The
networks are those of `compare_autoattack.py`, whose first lines say what to
install. The radius is so small that no image is broken: all are attacked to the
end. The programs take turns; the table shows medians of all rounds but the
first.
"""

import statistics
import time

import keras
import numpy as np
import tensorflow as tf
import torch
import torchattacks
from absl import app
from absl import flags

import keras_sat
from benchmarks import compare_autoattack as compare

STEPS = 100
QUERIES = 500
EPSILON = 1e-5

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 180, "Number of images to attack.")


def by_tensorflow(model, images, labels):
    """Returns functions without arguments: attacks, and what they ask for."""
    images, labels = tf.constant(images), tf.constant(labels)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    # Each step depends on the one before, so that none is left out.
    def gradients():
        x = images
        for _ in tf.range(STEPS + 1):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                value = loss(labels, model(x))
            x += 1e-9 * tape.gradient(value, x)
        return x

    def predictions():
        x = images
        for _ in tf.range(QUERIES + 1):
            x += 1e-9 * tf.reduce_mean(model(x))
        return x

    def attacked(attack):
        return tf.function(
            lambda: attack(model, images, labels, seed=(0, 0)),
            jit_compile=FLAGS.jit_compile,
        )

    return {
        "APGD": attacked(keras_sat.APGD(epsilon=EPSILON, steps=STEPS)),
        "gradients": tf.function(gradients, jit_compile=FLAGS.jit_compile),
        "Square": attacked(keras_sat.Square(epsilon=EPSILON, queries=QUERIES)),
        "predictions": tf.function(predictions, jit_compile=FLAGS.jit_compile),
    }


def by_torch(twin, images, labels):
    """Returns the same as `by_tensorflow`, for PyTorch and torchattacks."""
    images = compare.as_torch(images)
    labels = torch.from_numpy(labels).long().to(FLAGS.device)

    def gradients():
        x = images
        for _ in range(STEPS + 1):
            x = x.detach().requires_grad_()
            loss = torch.nn.functional.cross_entropy(twin(x), labels)
            x = x + 1e-9 * torch.autograd.grad(loss, [x])[0]

    @torch.no_grad()
    def predictions():
        x = images
        for _ in range(QUERIES + 1):
            x = x + 1e-9 * twin(x).mean()

    apgd = torchattacks.APGD(twin, eps=EPSILON, steps=STEPS)
    square = torchattacks.Square(twin, eps=EPSILON, n_queries=QUERIES)
    return {
        "APGD": lambda: apgd(images, labels),
        "gradients": gradients,
        "Square": lambda: square(images, labels),
        "predictions": predictions,
    }


def main(_):
    """Prints a table."""
    compare.set_up()
    shape = (FLAGS.images, FLAGS.image_size, FLAGS.image_size, 3)
    images = np.random.default_rng(0).uniform(size=shape).astype("float32")
    print(
        "| network | | keras_sat | torchattacks | ratio |\n" + "|---" * 5 + "|"
    )
    for name in FLAGS.models:
        model = compare.BUILDERS[name]()
        twin = compare.twin_of(name, model)
        labels = np.argmax(model(images), axis=1)
        ours = by_tensorflow(model, images, labels)
        theirs = by_torch(twin, images, labels)
        seconds = {}
        for _ in range(FLAGS.rounds + 1):
            for program in ours:
                for functions in (ours, theirs):
                    start = time.perf_counter()
                    functions[program]()
                    taken = time.perf_counter() - start
                    key = program, functions is ours
                    seconds.setdefault(key, []).append(taken)
        medians = {k: statistics.median(v[1:]) for k, v in seconds.items()}
        for program in ours:
            mine, others = medians[program, True], medians[program, False]
            print(
                f"| {name} | {program} | {mine:.2f} s | {others:.2f} s "
                f"| {others / mine:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    app.run(main)
