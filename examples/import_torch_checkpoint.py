"""Imports weights of PyTorch, measures the network, and saves it as `.keras`.

    python examples/import_torch_checkpoint.py --checkpoint=weights.pt \\
        --robustbench=Wang2023Better_WRN-28-10 --images=cifar10

PyTorch is not needed. The network is one of RobustBench (`--robustbench`), one
of this package (`--network=resnet18 --options='{"activation": "relu"}'`), or
one that you built in Keras and saved (`--model`). See docs/torch_weights.md.
"""

import json

import keras
import numpy as np
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("checkpoint", None, "A file of PyTorch or safetensors.")
flags.DEFINE_string("entry", None, "Which of several dictionaries in it.")
flags.DEFINE_string("robustbench", None, "Name of a network of RobustBench.")
flags.DEFINE_string("dataset", "cifar10", "Of the network of RobustBench.")
flags.DEFINE_string("network", None, "Name of a network of this package.")
flags.DEFINE_string("options", "{}", "Arguments of its builder, as JSON.")
flags.DEFINE_string("model", None, "A .keras file with the layers.")
flags.DEFINE_string("images", None, "An .npz file, a folder, or cifar10.")
flags.DEFINE_list("attacks", [], "Names of attacks, or `standard`.")
flags.DEFINE_float("epsilon", 8 / 255, "Radius: a fraction of the range.")
flags.DEFINE_enum("norm", "linf", ["linf", "l2"], "Norm of the ball.")
flags.DEFINE_string("reported", None, "What others measured.")
flags.DEFINE_string("output", None, "The .keras file to write.")
flags.mark_flag_as_required("checkpoint")


def build():
    """Builds the network that the flags describe, without its weights."""
    if FLAGS.network:
        options = json.loads(FLAGS.options)
        return keras_sat.models.get(FLAGS.network, **options)
    model = keras.saving.load_model(FLAGS.model, compile=False)
    return model.model if isinstance(model, keras_sat.SATModel) else model


def read_images(height, width, channels):
    """Returns images, uint8 or float in `[0, 1]`, and their class ids."""
    if FLAGS.images == "cifar10":
        return keras_sat.data.cifar10()[1]
    if FLAGS.images.endswith(".npz"):
        with np.load(FLAGS.images) as file:
            return file["images"], file["labels"].astype("int32")
    return keras_sat.data.image_folder(
        FLAGS.images, image_size=(height, width), channels=channels
    )


def main(_):
    """Imports, measures and saves."""
    if FLAGS.robustbench:
        names = (FLAGS.robustbench, FLAGS.checkpoint, FLAGS.dataset, FLAGS.norm)
        model = keras_sat.robustbench(*names)
    else:
        model = build()
        keras_sat.load_torch_checkpoint(model, FLAGS.checkpoint, FLAGS.entry)
    if FLAGS.images:
        report = keras_sat.evaluate_robustness(
            model,
            read_images(*model.input_shape[1:]),
            FLAGS.attacks or "standard",
            # With a radius of 0, there is the clean accuracy only.
            FLAGS.epsilon if FLAGS.attacks else 0,
            FLAGS.norm,
        )
        print(f"{report}\nReported elsewhere: {FLAGS.reported or 'not given'}")
    if FLAGS.output:
        model.save(FLAGS.output)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
