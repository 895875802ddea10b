"""Evaluates a linear classifier: what a test runs in a process of its own.

Prints the peak memory in MiB, and a hash of all that the report says.
"""

import argparse
import hashlib
import json
import resource

import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.evaluation.robustness import evaluate_robustness
from tests.attacks.problems import Linear

parser = argparse.ArgumentParser()
parser.add_argument("--state_path")
parser.add_argument("--report_dir")
parser.add_argument("--images", type=int, default=96)
parser.add_argument("--batch_size", type=int, default=16)
parser.add_argument("--shape", type=int, nargs=3, default=(4, 4, 1))
parser.add_argument("--devices", type=int, default=1)
parser.add_argument("--jit_compile", action="store_true")
parser.add_argument("--quick", action="store_true")
FLAGS = parser.parse_args()


def attacks():
    """The standard attacks, shorter ones if asked for."""
    if not FLAGS.quick:
        return "standard"
    return [
        keras_sat.APGD(steps=5),
        keras_sat.APGD(steps=5, loss="dlr", target_classes=2),
        keras_sat.FAB(steps=5, target_classes=2),
        keras_sat.Square(queries=20),
    ]


def batches(problem):
    """Random images with their labels, made when they are asked for."""
    generator = np.random.default_rng(0)
    for start in range(0, FLAGS.images, FLAGS.batch_size):
        count = min(FLAGS.batch_size, FLAGS.images - start)
        images = generator.uniform(0.3, 0.7, (count, *FLAGS.shape))
        logits = images.reshape(count, -1) @ problem.weights + problem.bias
        yield images.astype("float32"), logits.argmax(1)


def main():
    """Evaluates with half of the images at risk."""
    devices = [
        tf.config.LogicalDeviceConfiguration() for _ in range(FLAGS.devices)
    ]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, devices)
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    strategy = tf.distribute.get_strategy()
    if FLAGS.devices > 1:
        strategy = tf.distribute.MirroredStrategy(names)
    with strategy.scope():
        problem = Linear(5, tuple(FLAGS.shape))
    report = evaluate_robustness(
        problem.model,
        batches(problem),
        attacks(),
        epsilon=float(np.median(problem.distances("linf"))),
        state_path=FLAGS.state_path,
        jit_compile=FLAGS.jit_compile,
        verbose=0,
    )
    if FLAGS.report_dir:
        report.save(FLAGS.report_dir)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcomes = json.dumps(report.outcomes.tolist())
    digest = hashlib.sha256(outcomes.encode()).hexdigest()
    print(json.dumps({"peak": peak, "digest": digest}))


if __name__ == "__main__":
    main()
