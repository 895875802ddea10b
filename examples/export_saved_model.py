"""Exports a trained `.keras` file for TensorFlow Serving, and tries it out.

    python examples/export_saved_model.py --model=outputs/digits/model.keras \\
        --output=outputs/serving/digits/1 --image=photo.jpg

The last part of the output path is the version that the server announces.
"""

import json
import logging
import pathlib

import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "What `SATModel.save` wrote.")
flags.DEFINE_string("output", None, "The folder to write.")
flags.DEFINE_string("class_names", None, "Text file with a name in each line.")
flags.DEFINE_string(
    "report", None, "Folder that `RobustnessReport.save` wrote."
)
flags.DEFINE_string("image", None, "Image to classify with what was exported.")
flags.DEFINE_integer("top_k", None, "Classes to return, most probable first.")
flags.DEFINE_integer("max_pixels", 25_000_000, "Of images that it decodes.")
flags.mark_flags_as_required(["model", "output"])


def main(_):
    """Exports, prints the metadata, and classifies an image."""
    # TensorFlow would describe each step of the export.
    logging.disable(logging.INFO)
    class_names = report = None
    if FLAGS.class_names:
        class_names = pathlib.Path(FLAGS.class_names).read_text().splitlines()
    if FLAGS.report:
        report = keras_sat.RobustnessReport.load(FLAGS.report)
    model = keras_sat.load_model(FLAGS.model)
    model.export(
        FLAGS.output,
        class_names=class_names,
        report=report,
        top_k=FLAGS.top_k,
        max_pixels=FLAGS.max_pixels,
    )
    metadata = pathlib.Path(FLAGS.output) / "assets.extra" / "keras_sat.json"
    for name, value in json.loads(metadata.read_text()).items():
        print(f"{name}: {value}")
    if FLAGS.image:
        contents = pathlib.Path(FLAGS.image).read_bytes()
        serve = tf.saved_model.load(FLAGS.output).signatures["serve_jpeg"]
        answer = serve(image_bytes=tf.constant([contents]))
        probabilities = answer["probabilities"][0].numpy()
        top = zip(answer["top_names"][0], answer["top_classes"][0], strict=True)
        for name, number in top:
            print(f"{name.numpy().decode():20} {probabilities[number]:.4f}")


if __name__ == "__main__":
    app.run(main)
