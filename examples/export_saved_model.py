"""Exports a trained `.keras` file for TensorFlow Serving, and tries it out.

    python examples/export_saved_model.py --model=outputs/digits/model.keras \\
        --output=outputs/serving/digits/1 --image=photo.jpg

The last part of the output path is the version of the model for the server. An
image is cropped as in the evaluation that the report is of, or as is usual.
"""

import json
import logging
import pathlib

import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A .keras file.")
flags.DEFINE_string("output", None, "Folder to write.")
flags.DEFINE_string("class_names", None, "Text file with a name in each line.")
flags.DEFINE_string(
    "report", None, "Folder that `RobustnessReport.save` wrote."
)
flags.DEFINE_string("image", None, "Image to classify with what was exported.")
flags.DEFINE_integer("top_k", None, "Number of classes to return.")
flags.DEFINE_enum(
    "crop", None, keras_sat.preprocessing.CROPS, "Part of an image to see."
)
flags.DEFINE_bool("overwrite", False, "Replace a version that is there.")
flags.DEFINE_integer("max_pixels", 25_000_000, "Largest image that is decoded.")
flags.mark_flags_as_required(["model", "output"])


def load(path):
    """Returns a `SATModel` as it was saved, or another classifier."""
    classifier = keras_sat.load_classifier(path)
    if isinstance(classifier, keras_sat.SATModel):
        # With its optimizer, which may hold moving averages of the weights.
        return keras_sat.load_model(path)
    return classifier


def main(_):
    """Exports the model, prints the metadata and classifies an image."""
    # Else TensorFlow describes each step of the export.
    logging.disable(logging.INFO)
    class_names = report = None
    if FLAGS.class_names:
        class_names = pathlib.Path(FLAGS.class_names).read_text().splitlines()
    if FLAGS.report:
        report = keras_sat.RobustnessReport.load(FLAGS.report)
    keras_sat.export.saved_model(
        load(FLAGS.model),
        FLAGS.output,
        overwrite=FLAGS.overwrite,
        **({"crop": FLAGS.crop} if FLAGS.crop else {}),
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
