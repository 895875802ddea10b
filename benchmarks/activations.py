"""Measures what activations cost beside ReLU, forward and backward.

python -m benchmarks.activations --dtypes=float32,bfloat16

Each is measured as the plain operations of TensorFlow and as the kernels that
`keras_sat` has XLA make for fixed sizes of batches. All take turns in one
process, so that a busy machine slows all of them alike; the table shows medians
of processor time.
"""

import statistics
import time

import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "activations",
    sorted(set(keras_sat.activations.NAMES) - {"swish"}),
    "What to measure.",
)
flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "Types of the numbers.")
flags.DEFINE_list("shape", ["32", "32", "32", "64"], "Shape of the tensor.")
flags.DEFINE_integer("threads", 1, "Threads of TensorFlow.")
flags.DEFINE_integer("rounds", 11, "How often each has its turn.")
flags.DEFINE_integer("calls", 4, "How many calls a turn has.")


def both_ways(name, dtype, sizes_are_known):
    """Returns a graph of an activation and its derivative.

    Args:
        name: str. See `keras_sat.activations.get`.
        dtype: str.
        sizes_are_known: bool. Whether the graph is for one shape only: then
            the activation is compiled.
    """
    shape = [int(size) for size in FLAGS.shape]
    layer = keras_sat.activations.layer(name, dtype=dtype)

    def function(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, x, upstream)

    spec = tf.TensorSpec(
        shape if sizes_are_known else [None, *shape[1:]], dtype
    )
    function = tf.function(function, autograph=False)
    return function.get_concrete_function(spec, spec)


def milliseconds(graph, tensors):
    """Returns the processor time of a call."""
    start = time.process_time()
    for _ in range(FLAGS.calls):
        graph(*tensors)
    return (time.process_time() - start) / FLAGS.calls * 1e3


def main(_):
    """Prints a line for each activation and type."""
    tf.config.threading.set_intra_op_parallelism_threads(FLAGS.threads)
    tf.config.threading.set_inter_op_parallelism_threads(FLAGS.threads)
    shape = [int(size) for size in FLAGS.shape]
    print(
        f"{'activation':22}{'dtype':10}{'plain ms':>10}{'ms':>10}{'/ relu':>8}"
    )
    for dtype in FLAGS.dtypes:
        tensors = [tf.cast(tf.random.normal(shape), dtype) for _ in range(2)]
        graphs = {
            (name, known): both_ways(name, dtype, known)
            for name in ("relu", *FLAGS.activations)
            for known in (False, True)
        }
        times = {key: [] for key in graphs}
        for _ in range(FLAGS.rounds + 1):
            for key, graph in graphs.items():
                times[key].append(milliseconds(graph, tensors))
        median = {k: statistics.median(v[1:]) for k, v in times.items()}
        for name in FLAGS.activations:
            plain, ours = median[name, False], median[name, True]
            ratio = ours / median["relu", False]
            print(f"{name:22}{dtype:10}{plain:10.2f}{ours:7.2f}{ratio:8.2f}")


if __name__ == "__main__":
    app.run(main)
