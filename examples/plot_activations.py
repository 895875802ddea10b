"""Draws activation functions and their derivatives.

    python examples/plot_activations.py --path=docs/images/activations.png

It takes a few seconds on a CPU.
"""

import os

from absl import app
from absl import flags

import keras_sat

NAMES = ["relu", "parametric_softplus", "silu", "gelu", "elu", "smoothrelu"]
FLAGS = flags.FLAGS
flags.DEFINE_list("activations", NAMES, "Names of activations.")
flags.DEFINE_float("low", -4.0, "Left end of the curves.")
flags.DEFINE_float("high", 4.0, "Right end of the curves.")
flags.DEFINE_string("path", "outputs/activations.png", "Picture to write.")


def main(_):
    """Draws the curves and saves the picture."""
    functions = {
        name: keras_sat.activations.get(name) for name in FLAGS.activations
    }
    keras_sat.plots.activations(functions, FLAGS.low, FLAGS.high, FLAGS.path)
    print(f"Written to {os.path.abspath(FLAGS.path)}.")


if __name__ == "__main__":
    app.run(main)
