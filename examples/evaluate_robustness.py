"""Measures how robust a classifier is, and says whether to believe the number.

    python examples/evaluate_robustness.py --model=model.keras --dataset=photos

The model is a `.keras` file or a SavedModel. The dataset is a folder with a
sub-folder of images for each class, or `digits`, or `cifar10`. The program
prints the report of AutoAttack and saves it with its pictures. After a kill or
Ctrl-C, the same command goes on where it stopped. Pictures are cropped as in
validation, and as an export crops them; the report says how.
"""

import os

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
flags.DEFINE_list(
    "value_range", None, "Values of black and of white, unless the model knows."
)
flags.DEFINE_integer("image_size", 224, "Of a model that takes any size.")
flags.DEFINE_enum(
    "crop", None, keras_sat.preprocessing.CROPS, "Part of a picture to see."
)
flags.DEFINE_integer("batch_size", 128, "Images in a batch.")
flags.DEFINE_integer("batches", -1, "Number of batches; -1 for all.")
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_string("output_dir", "outputs/robustness", "Where results go.")
flags.mark_flags_as_required(["model", "dataset"])


def image_shape(model):
    """Returns height, width and channels of the images that a model takes."""
    # A network with code of its own knows no shape, but a `SATModel` of it.
    shape = getattr(model, "image_shape", None)
    if shape is None:
        shape = getattr(model, "input_shape", (None, None, None, 3))[1:]
    height, width, channels = shape
    return height or FLAGS.image_size, width or FLAGS.image_size, channels


def test_images(model, low, high):
    """Returns batches of images, uint8 or in the range, and of class ids."""
    height, width, channels = image_shape(model)
    if FLAGS.dataset not in ("digits", "cifar10"):
        view = getattr(model, "view", {})
        if FLAGS.crop:
            view = view | {"crop": FLAGS.crop}
        return keras_sat.data.image_folder(
            FLAGS.dataset,
            image_size=(height, width),
            channels=channels,
            batch_size=FLAGS.batch_size,
            **view,
        )
    if FLAGS.dataset == "digits":
        _, images = keras_sat.data.digits(FLAGS.batch_size, height, channels)
    else:
        _, images = keras_sat.data.cifar10(
            FLAGS.batch_size, FLAGS.data_dir, download=False
        )
    return images.map(lambda x, y: (x * (high - low) + low, y))


def main(_):
    """Evaluates the model, prints the report and saves it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    with strategy.scope():
        model = keras_sat.load_classifier(FLAGS.model)
    low, high = getattr(model, "value_range", (0.0, 1.0))
    if FLAGS.value_range:
        low, high = map(float, FLAGS.value_range)
    images = test_images(model, low, high)
    chosen = images.take(FLAGS.batches)
    # For the report; TensorFlow loses them.
    chosen.view = getattr(images, "view", None)
    chosen.class_names = getattr(images, "class_names", None)
    attacks = FLAGS.attacks[0] if len(FLAGS.attacks) == 1 else FLAGS.attacks
    state_path = os.path.join(FLAGS.output_dir, "state.jsonl")
    # Workers would go on from different places, so they start anew.
    if keras_sat.distribution.several_workers(strategy):
        state_path = None
    with strategy.scope():
        report = keras_sat.evaluate_robustness(
            model,
            chosen,
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
