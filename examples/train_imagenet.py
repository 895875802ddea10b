"""Trains a robust classifier of ImageNet by a published recipe.

    python examples/train_imagenet.py --output_dir=runs/resnet50
    python examples/train_imagenet.py --recipe=imagenet_efficientnet \\
        --changes='{"variant": "l1", "enhanced": true}' --strategy=tpu

It needs ImageNet as tensorflow-datasets prepares it, and accelerators. It has
not been run on ImageNet yet: the tests run it on CPUs, on a small set of the
same layout. After a kill or Ctrl-C, the same command goes on. More in
docs/recipes.md and docs/scale.md.
"""

import json

import keras
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of the prepared datasets.")
flags.DEFINE_string("dataset", "imagenet2012", "Name of the dataset.")
flags.DEFINE_list("splits", "train,validation", "To train and to validate on.")
flags.DEFINE_string("recipe", "imagenet_resnet", "One of `keras_sat.recipes`.")
flags.DEFINE_string("model", None, "Other network, like efficientnet_b4.")
flags.DEFINE_string("changes", "{}", "Changes to the recipe, in JSON.")
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_string(
    "mixed_precision", "float32", "Or mixed_bfloat16, mixed_float16."
)
flags.DEFINE_integer("seed", 0, "Seed of all random numbers.")
flags.DEFINE_integer("report_images", 1000, "Images to run AutoAttack on.")
flags.DEFINE_bool(
    "tensorboard", False, "Whether to write logs for TensorBoard."
)
flags.DEFINE_string("output_dir", "outputs/imagenet", "Folder for the results.")
flags.DEFINE_string("resume_dir", None, "Other folder for checkpoints.")


def main(_):
    """Trains, measures the best epoch and exports it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    changes = json.loads(FLAGS.changes)
    if FLAGS.model:
        changes["network"] = FLAGS.model
    recipe = keras_sat.recipes.get(FLAGS.recipe, **changes)
    options = recipe.data_options | {"data_dir": FLAGS.data_dir}
    training, validation = FLAGS.splits
    _, report = keras_sat.recipes.train(
        recipe,
        keras_sat.data.load(
            FLAGS.dataset, training, training=True, seed=FLAGS.seed, **options
        ),
        keras_sat.data.load(FLAGS.dataset, validation, **options),
        FLAGS.output_dir,
        strategy=strategy,
        precision=FLAGS.mixed_precision,
        report_images=FLAGS.report_images,
        resume_dir=FLAGS.resume_dir,
        tensorboard=FLAGS.tensorboard,
    )
    print(report)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
