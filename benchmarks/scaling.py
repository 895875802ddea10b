"""Measures images per second of adversarial training on one worker and on two.

python benchmarks/scaling.py --model=wide_resnet10_2 --steps=1

Each worker is a process with one thread, on a core of its own, with as many
images in a step as the others (weak scaling). The numbers of workers, and XLA
on and off, take turns; the table shows medians over the rounds.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

# Without these, glibc gives the memory of each step back to the system, and
# workers spend much of their time on page faults.
MALLOC = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}

FLAGS = flags.FLAGS
flags.DEFINE_string("model", "wide_resnet10_2", "The network.")
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
flags.DEFINE_integer("images", 32, "Images of each worker in a step.")
flags.DEFINE_integer("steps", 1, "Steps of the training attack.")
flags.DEFINE_integer("batches", 8, "Batches to time.")
flags.DEFINE_integer("rounds", 3, "Runs of each setting.")
flags.DEFINE_list("workers", ["1", "2"], "Numbers of workers to compare.")
flags.DEFINE_list("xla", ["False", "True"], "Whether to compile with XLA.")
flags.DEFINE_bool("keep_memory", True, "Whether to set `MALLOC`.")
flags.DEFINE_integer("core", None, "For the program itself: be a worker.")
flags.DEFINE_bool("jit_compile", False, "For the program itself: use XLA.")


class Clock(keras.callbacks.Callback):
    """Measures the seconds of an epoch, without its first step and its end.

    At the end of an epoch, TensorFlow on a single thread waits for the
    optimization of the dataset, which takes seconds.
    """

    def on_train_batch_end(self, batch, logs=None):
        """Starts the clock after the first step, and reads it after each."""
        if batch == 0:
            self.start = time.perf_counter()
        self.seconds = time.perf_counter() - self.start


def work():
    """Trains two epochs on one core, and prints the seconds of the second."""
    os.sched_setaffinity(0, {FLAGS.core})
    tf.config.threading.set_intra_op_parallelism_threads(1)
    strategy = keras_sat.strategy()
    keras.utils.set_random_seed(0)
    batch_size = FLAGS.images * strategy.num_replicas_in_sync
    shape = (FLAGS.image_size, FLAGS.image_size, 3)
    with strategy.scope():
        network = keras_sat.models.get(
            FLAGS.model, num_classes=10, input_shape=shape
        )
        step_size = 4 / 255 / FLAGS.steps
        attack = keras_sat.PGD(step_size=step_size, steps=FLAGS.steps)
        model = keras_sat.SATModel(network, attack=attack)
        model.compile("sgd", jit_compile=FLAGS.jit_compile)
    count = batch_size * FLAGS.batches
    images = np.random.default_rng(0).uniform(size=(count, *shape))
    data = tf.data.Dataset.from_tensor_slices(
        (images.astype("float32"), np.arange(count) % 10)
    ).batch(batch_size, drop_remainder=True)
    clock = Clock()
    model.fit(data, epochs=2, callbacks=[clock], verbose=0)
    print(clock.seconds)


def rate(workers, jit_compile):
    """Returns images per second of several workers together."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    processes = []
    for core in range(workers):
        environment = os.environ | (MALLOC if FLAGS.keep_memory else {})
        if workers > 1:
            task = {"type": "worker", "index": core}
            cluster = {"worker": addresses}
            config = {"cluster": cluster, "task": task}
            environment["TF_CONFIG"] = json.dumps(config)
        own = [f"--core={core}", f"--jit_compile={jit_compile}"]
        processes.append(
            subprocess.Popen(
                [sys.executable, *sys.argv, *own],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("A worker failed; run it alone with --core=0.")
    seconds = max(float(output.split()[-1]) for output in outputs)
    return workers * FLAGS.images * (FLAGS.batches - 1) / seconds


def main(_):
    """Prints a line for each setting."""
    if FLAGS.core is not None:
        work()
        return
    counts = [int(count) for count in FLAGS.workers]
    rates = {(c, jit): [] for jit in FLAGS.xla for c in counts}
    for _ in range(FLAGS.rounds):
        for setting, found in rates.items():
            found.append(rate(*setting))
    print("XLA    workers   images/s   x the first")
    for (count, jit), found in rates.items():
        first = rates[counts[0], jit]
        ratio = statistics.median(np.divide(found, first))
        median = statistics.median(found)
        print(f"{jit:5} {count:8} {median:10.1f} {ratio:13.2f}")


if __name__ == "__main__":
    app.run(main)
