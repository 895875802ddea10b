"""Imports a released TF1 checkpoint, measures it, and saves it as `.keras`.

    python examples/import_official_checkpoint.py --checkpoint=Res50-silu \\
        --network=resnet --variant=50 --activation=silu \\
        --images=imagenet/val --output=res50-silu.keras

The folder of images has one sub-folder for each class; in the order of their
names, these are the classes 0, 1, 2... Each image is cropped and resized as in
the official evaluation.
"""

import json
import pathlib

import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
NETWORKS = {
    "resnet": keras_sat.resnet,
    "resnext": keras_sat.resnext,
    "efficientnet": keras_sat.efficientnet,
}
flags.DEFINE_string("checkpoint", None, "Prefix or folder of the checkpoint.")
flags.DEFINE_enum("network", "resnet", sorted(NETWORKS), "Architecture.")
flags.DEFINE_string("variant", "50", "Depth or name, such as 50 or b0.")
flags.DEFINE_integer(
    "group_width", 4, "Width of the groups of a ResNeXt: 4 or 8."
)
flags.DEFINE_string("activation", "silu", "Activation of the checkpoint.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_bool(
    "moving_averages", False, "Read moving averages, as of L1-Enhanced."
)
flags.DEFINE_string("images", None, "Folder with one sub-folder per class.")
flags.DEFINE_integer("batch_size", 32, "Images at a time.")
flags.DEFINE_integer("pgd_steps", 10, "Steps of PGD.")
flags.DEFINE_float("epsilon", 4 / 255, "Radius of the L-infinity ball.")
flags.DEFINE_float("step_size", 1 / 255, "Step of PGD.")
flags.DEFINE_string("output", None, "File to write, with the ending `.keras`.")
flags.mark_flags_as_required(["checkpoint", "output"])


def build():
    """Returns the network that the flags describe, without its weights."""
    variant = FLAGS.variant
    options = {}
    if FLAGS.network == "resnext":
        options["group_width"] = FLAGS.group_width
    return NETWORKS[FLAGS.network](
        int(variant) if variant.isdigit() else variant,
        activation=FLAGS.activation,
        input_shape=(FLAGS.image_size, FLAGS.image_size, 3),
        **options,
    )


def dataset():
    """Returns batches of uint8 images, as the official evaluation sees them."""
    folders = sorted(
        p for p in pathlib.Path(FLAGS.images).iterdir() if p.is_dir()
    )
    files = [
        (str(path), number)
        for number, folder in enumerate(folders)
        for path in sorted(folder.iterdir())
    ]
    paths, labels = zip(*files, strict=True)

    def load(path, label):
        image = keras_sat.preprocessing.evaluation_image(
            tf.io.read_file(path), FLAGS.image_size, FLAGS.image_size
        )
        return image, label

    images = tf.data.Dataset.from_tensor_slices((list(paths), list(labels)))
    images = images.map(load, tf.data.AUTOTUNE)
    return images.batch(FLAGS.batch_size).prefetch(tf.data.AUTOTUNE)


def measure(model):
    """Returns clean and robust accuracy on the folder of images."""
    attack = keras_sat.PGD(
        epsilon=FLAGS.epsilon, step_size=FLAGS.step_size, steps=FLAGS.pgd_steps
    )
    attacked = keras_sat.SATModel(model, eval_attack=attack)
    return attacked.evaluate(dataset(), return_dict=True, verbose=0)


def main(_):
    """Imports the checkpoint, saves the model and measures it."""
    model = build()
    ignored = keras_sat.load_official_checkpoint(
        model, FLAGS.checkpoint, FLAGS.moving_averages
    )
    model.save(FLAGS.output)
    results = {"ignored_variables": ignored}
    if FLAGS.images:
        results.update(measure(model))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    app.run(main)
