"""Measures how robust a classifier is, and says whether to believe the number.

    python examples/evaluate_robustness.py --model=model.keras --dataset=photos

The model is a `.keras` file or a SavedModel. The dataset is a folder with a
sub-folder of images for each class, or `digits`, or `cifar10`. The program
prints the report of AutoAttack and saves it with its pictures. After a kill or
Ctrl-C, the same command goes on where it stopped.
"""

import os

import keras
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "A .keras file or a SavedModel.")
flags.DEFINE_string("dataset", None, "A folder of images, digits or cifar10.")
flags.DEFINE_string("data_dir", None, "Where the prepared cifar10 is.")
flags.DEFINE_float("epsilon", 4 / 255, "Radius, as a fraction of the range.")
flags.DEFINE_enum("norm", "linf", ["linf", "l2"], "Norm of the ball.")
flags.DEFINE_list("attacks", ["standard"], "Version of AutoAttack, or attacks.")
flags.DEFINE_list("value_range", ["0", "1"], "Values of black and of white.")
flags.DEFINE_integer("batch_size", 128, "Images in a batch.")
flags.DEFINE_integer("batches", -1, "Number of batches; -1 for all.")
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_string("output_dir", "outputs/robustness", "Where results go.")
flags.mark_flags_as_required(["model", "dataset"])


def test_images(height, width):
    """Returns batches of images in `[0, 1]`, or uint8, and of class ids."""
    if FLAGS.dataset == "digits":
        return keras_sat.data.digits(FLAGS.batch_size, height)[1]
    if FLAGS.dataset == "cifar10":
        return keras_sat.data.cifar10(
            FLAGS.batch_size, FLAGS.data_dir, download=False
        )[1]
    images = keras.utils.image_dataset_from_directory(
        FLAGS.dataset,
        image_size=(height, width),
        batch_size=FLAGS.batch_size,
        interpolation="bicubic",
        crop_to_aspect_ratio=True,
        shuffle=False,
        verbose=False,
    )
    return images.map(lambda x, y: (tf.clip_by_value(x / 255, 0, 1), y))


def main(_):
    """Evaluates the model, prints the report and saves it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    with strategy.scope():
        model = keras_sat.load_classifier(FLAGS.model)
    low, high = map(float, FLAGS.value_range)
    images = test_images(*model.input_shape[1:3])
    if (low, high) != (0.0, 1.0):
        images = images.map(lambda x, y: (x * (high - low) + low, y))
    attacks = FLAGS.attacks[0] if len(FLAGS.attacks) == 1 else FLAGS.attacks
    state_path = os.path.join(FLAGS.output_dir, "state.jsonl")
    # Workers would go on from different places, so they start anew.
    if keras_sat.distribution.several_workers(strategy):
        state_path = None
    with strategy.scope():
        report = keras_sat.evaluate_robustness(
            model,
            images.take(FLAGS.batches),
            attacks,
            FLAGS.epsilon,
            FLAGS.norm,
            value_range=(low, high),
            state_path=state_path,
        )
    print(report)
    if keras_sat.distribution.is_chief(strategy):
        report.save(FLAGS.output_dir)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
