"""Trains a robust classifier on two folders of your own pictures.

    python examples/train_image_folder.py --train_dir=flowers/train \\
        --test_dir=flowers/test --output_dir=runs/flowers

Each folder has a sub-folder for each class, with JPEG, PNG or other files. The
defaults are meant for a few thousand pictures and one GPU, and were not tuned.
The tests run the program on CPUs, on photographs of scikit-learn and
scikit-image. After a kill or Ctrl-C, the same command goes on.
"""

import keras
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("train_dir", None, "Folder to train on.")
flags.DEFINE_string("test_dir", None, "Folder to validate on.")
flags.DEFINE_string(
    "model", "efficientnet_b0", "Name of the network; see `models.get`."
)
flags.DEFINE_string("activation", "silu", "Activation of the network.")
flags.DEFINE_integer("image_size", 128, "Height and width of the images.")
flags.DEFINE_integer("channels", 3, "3 for RGB, 1 for gray pictures.")
flags.DEFINE_integer(
    "batch_size", 64, "Images in a step, on all devices together."
)
flags.DEFINE_integer("epochs", 60, "Passes over the pictures.")
flags.DEFINE_float("epsilon", 4 / 255, "Radius of the L-infinity ball.")
flags.DEFINE_enum(
    "corrupt", "error", ["error", "skip"], "What to do with broken pictures."
)
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_integer("seed", 0, "Seed of all random numbers.")
flags.DEFINE_integer("report_images", 1000, "Images to run AutoAttack on.")
flags.DEFINE_string("output_dir", "outputs/folder", "Folder for the results.")
flags.mark_flags_as_required(["train_dir", "test_dir"])


def main(_):
    """Trains, measures the best epoch and exports it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    recipe = keras_sat.recipes.imagenet_modern(
        network=FLAGS.model,
        activation=FLAGS.activation,
        image_size=FLAGS.image_size,
        batch_size=FLAGS.batch_size,
        epochs=FLAGS.epochs,
        warmup_epochs=FLAGS.epochs / 20,
        step_size_warmup_epochs=FLAGS.epochs / 20,
        epsilon=FLAGS.epsilon,
        step_size=2 * FLAGS.epsilon / 3,
        eval_step_size=FLAGS.epsilon / 4,
        # Moving averages over so few steps would still hold the first weights.
        ema=0.0,
    )
    options = recipe.data_options
    options |= {"corrupt": FLAGS.corrupt, "channels": FLAGS.channels}
    train_ds = keras_sat.data.image_folder(
        FLAGS.train_dir, training=True, seed=FLAGS.seed, **options
    )
    test_ds = keras_sat.data.image_folder(
        FLAGS.test_dir, class_names=train_ds.class_names, **options
    )
    _, report = keras_sat.recipes.train(
        recipe,
        train_ds,
        test_ds,
        FLAGS.output_dir,
        strategy=strategy,
        report_images=FLAGS.report_images,
    )
    print(report)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
