"""Makes a robust classifier of your pictures out of a pretrained network.

    python examples/finetune_image_folder.py --network=resnet50.keras \\
        --normalization=caffe --data_dir=flowers --output_dir=runs/flowers

The folder has a sub-folder for each class, with JPEG, PNG or other files, and a
part of it is held out to validate on. The network is a `.keras` file of
`keras.applications`, of KerasHub, of `import_torch_checkpoint.py` or your own,
with its head or without. The defaults of a clean start were not tuned. The
tests run the program on CPUs, on parts of photographs. After a kill or Ctrl-C,
the same command goes on.
"""

import keras
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_string("network", None, "The pretrained network, a .keras file.")
flags.DEFINE_string("data_dir", None, "Folder of pictures.")
flags.DEFINE_enum(
    "start", "clean", ["clean", "robust"], "How the network was trained."
)
flags.DEFINE_string(
    "normalization", "auto", "What the network takes; see `finetune`."
)
flags.DEFINE_enum(
    "freeze",
    "nothing",
    ["nothing", "normalization", "backbone"],
    "What keeps its weights.",
)
flags.DEFINE_string("activation", "silu", "In the place of ReLU and the like.")
flags.DEFINE_integer("image_size", None, "For a network that takes any size.")
flags.DEFINE_integer("batch_size", 64, "Images in a step, on all devices.")
flags.DEFINE_integer("epochs", 10, "Passes over the pictures.")
flags.DEFINE_integer("head_epochs", 0, "Before them, of the head alone.")
flags.DEFINE_float("epsilon", 4 / 255, "Radius of the L-infinity ball.")
flags.DEFINE_float("validation_split", 0.2, "Share of pictures held out.")
flags.DEFINE_enum(
    "corrupt", "error", ["error", "skip"], "What to do with broken pictures."
)
flags.DEFINE_enum("strategy", "auto", keras_sat.distribution.KINDS, "Devices.")
flags.DEFINE_integer("seed", 0, "Seed of all random numbers.")
flags.DEFINE_integer("report_images", 1000, "Images to run AutoAttack on.")
flags.DEFINE_string(
    "output_dir", "outputs/finetuned", "Folder for the results."
)
flags.mark_flags_as_required(["network", "data_dir"])


def recipe():
    """Returns the recipe that the flags describe."""
    fields = {"epochs": FLAGS.epochs, "warmup_epochs": FLAGS.epochs / 10}
    if FLAGS.start == "clean":
        fields["epsilon_warmup_epochs"] = FLAGS.epochs / 2
    if FLAGS.image_size:
        fields["image_size"] = FLAGS.image_size
    return keras_sat.recipes.finetune(
        FLAGS.network,
        FLAGS.start,
        normalization=FLAGS.normalization,
        freeze=FLAGS.freeze,
        activation=FLAGS.activation,
        batch_size=FLAGS.batch_size,
        head_epochs=FLAGS.head_epochs,
        epsilon=FLAGS.epsilon,
        step_size=2 * FLAGS.epsilon / 3,
        eval_step_size=FLAGS.epsilon / 4,
        **fields,
    )


def main(_):
    """Fine-tunes, measures the best epoch and exports it."""
    strategy = keras_sat.strategy(FLAGS.strategy)
    keras.utils.set_random_seed(FLAGS.seed)
    chosen = recipe()
    train_ds, test_ds = keras_sat.data.image_folder(
        FLAGS.data_dir,
        training=True,
        validation_split=FLAGS.validation_split,
        subset="both",
        seed=FLAGS.seed,
        corrupt=FLAGS.corrupt,
        channels=chosen.image_shape[-1],
        **chosen.data_options,
    )
    _, report = keras_sat.recipes.train(
        chosen,
        train_ds,
        test_ds,
        FLAGS.output_dir,
        strategy=strategy,
        report_images=FLAGS.report_images,
    )
    print(report)


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
