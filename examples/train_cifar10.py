"""Trains a robust classifier of CIFAR-10 or CIFAR-100 by a published recipe.

    python examples/train_cifar10.py --output_dir=runs/resnet18
    python examples/train_cifar10.py --recipe=cifar10_trades_ema

It needs the data as tensorflow-datasets prepares it (`tfds build cifar10`), and
a GPU. It has not been run on CIFAR yet: the tests run it on CPUs, on made-up
images of the same form. After a kill or Ctrl-C, the same command goes on. More
in docs/recipes.md.
"""

import json

import keras
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "dataset", "cifar10", ["cifar10", "cifar100"], "Dataset to train on."
)
flags.DEFINE_string("data_dir", None, "Folder of the prepared data.")
flags.DEFINE_enum(
    "recipe",
    "cifar10",
    ["cifar10", "cifar10_awp", "cifar10_mart", "cifar10_trades_ema"],
    "Recipe to follow.",
)
flags.DEFINE_string("changes", "{}", "Changes to the recipe, in JSON.")
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_integer("seed", 0, "Seed of all random numbers.")
flags.DEFINE_integer("report_images", 1000, "Images to run AutoAttack on.")
flags.DEFINE_string("output_dir", "outputs/cifar10", "Folder for the results.")


def main(_):
    """Trains, measures the best epoch and exports it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    recipe = keras_sat.recipes.get(FLAGS.recipe, **json.loads(FLAGS.changes))
    options = recipe.data_options | {"data_dir": FLAGS.data_dir}
    _, report = keras_sat.recipes.train(
        recipe,
        keras_sat.data.load(
            FLAGS.dataset, "train", training=True, seed=FLAGS.seed, **options
        ),
        keras_sat.data.load(FLAGS.dataset, "test", **options),
        FLAGS.output_dir,
        strategy=strategy,
        report_images=FLAGS.report_images,
    )
    print(report)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
