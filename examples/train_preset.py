"""Trains one of the presets of this package, and measures it.

It is trained on a part of the training images. The best epoch is chosen on the
others, and AutoAttack is made on all test images, once. The preset is written
into the folder `resnet_silu_<preset>`. After a kill or Ctrl-C, the same command
goes on.
"""

import json
import os

import keras
import numpy as np
import tensorflow as tf
from absl import app
from absl import flags

import keras_sat

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", None, ["digits", "fashion_mnist"], "Which one.")
flags.DEFINE_string("data_dir", None, "Folder of the files of Fashion-MNIST.")
flags.DEFINE_string("output_dir", None, "Folder for all that is written.")
flags.DEFINE_integer("epochs", None, "Other number of epochs.")
flags.DEFINE_integer(
    "stop_after", None, "Epoch to end after; rates fall as for all epochs."
)
flags.DEFINE_integer("seed", 0, "Seed of all random numbers.")
flags.DEFINE_integer(
    "report_images",
    None,
    "How many test images AutoAttack attacks, if not all.",
)
flags.DEFINE_string("machine", None, "Words for this machine, for the card.")
flags.mark_flags_as_required(["preset", "output_dir"])

# What both recipes change in that for CIFAR-10.
SHARED = {"decay": "cosine", "decay_epochs": (), "ema": 0.995, "steps": 5}
RECIPES = {
    "fashion_mnist": {
        "image_size": 28,
        "epochs": 14,
        "epsilon": 0.1,
        "step_size": 0.05,
        "eval_step_size": 0.025,
    },
    "digits": {
        "image_size": 8,
        "epochs": 60,
        "batch_size": 64,
        "reference_batch_size": 64,
        "epsilon": 0.15,
        "step_size": 0.075,
        "eval_step_size": 0.0375,
        "ema": 0.98,
    },
}
# Test images in a batch of AutoAttack.
BATCH = 250
NETWORK = {
    "repeats": (1, 1, 1),
    "filters": (16, 32, 64),
    "activation": "silu",
    "num_classes": 10,
    "block": "basic",
    "stem": "small",
    "stem_filters": 16,
}


# What the cards state of the data.
STATED = {
    "fashion_mnist": {
        "summary": "A small robust classifier of garments, to start from.",
        "data": "Fashion-MNIST (Xiao et al., 2017): 55,000 of the training "
        "images, 5,000 held out to choose the epoch, 10,000 test images that "
        "were used once. Debian's package dataset-fashion-mnist has its files.",
        "data_license": "MIT, Copyright 2017 Zalando SE",
        "class_names": [
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ],
    },
    "digits": {
        "summary": "A small robust classifier of handwritten digits, to try "
        "things with in seconds.",
        "data": "The digits of scikit-learn (Alpaydin and Kaynak, 1998): 1,200 "
        "of the 1,437 training images of `keras_sat.data.digits`, 237 held "
        "out to choose the epoch, its 360 test images that were used once.",
        "data_license": "CC BY 4.0 (UCI, Optical Recognition of Handwritten "
        "Digits, doi:10.24432/C50P49)",
        "class_names": list("0123456789"),
    },
}
LIMITS = [
    "It is small, and trained for minutes: networks that are larger and "
    "trained for longer are more accurate, and more robust.",
    "Nothing is known of its robustness to larger perturbations, to those in "
    "another norm, or to anything else than small changes of pixels.",
    "One training with one seed: others differ.",
]


def recipe():
    """Returns the `Recipe` of the preset."""
    changes = SHARED | RECIPES[FLAGS.preset]
    if FLAGS.epochs:
        changes["epochs"] = FLAGS.epochs
    return keras_sat.recipes.cifar10(augmentation={}, **changes)


def network(image_size):
    """Returns a residual network with 78 thousand weights, for gray images."""
    return keras_sat.models.residual_network(
        input_shape=(image_size, image_size, 1),
        # The blocks work on 14x14 positions of 28x28 pixels, or on 8x8.
        stem_strides=2 if image_size > 8 else 1,
        **NETWORK,
    )


def fashion_mnist(batch_size):
    """Returns 55,000 images to train on, 5,000 to choose on, 10,000 to test."""
    options = {
        "batch_size": batch_size,
        "class_names": STATED["fashion_mnist"]["class_names"],
    }
    return (
        keras_sat.data.idx_folder(
            FLAGS.data_dir, training=True, seed=FLAGS.seed, **options
        ),
        keras_sat.data.idx_folder(FLAGS.data_dir, "validation", **options),
        keras_sat.data.idx_folder(FLAGS.data_dir, "test", **options),
    )


def digits(batch_size):
    """Returns 1,200 images to train on, 237 to choose on, 360 to test."""
    train_ds, test_ds = keras_sat.data.digits(1, image_size=8, channels=1)
    images, labels = map(np.concatenate, zip(*train_ds, strict=True))
    # They come in another order each time; the parts shall always be the same.
    order = np.lexsort(images.reshape(len(images), -1).T)
    order = order[np.random.RandomState(0).permutation(len(order))]
    chosen, rest = (
        tf.data.Dataset.from_tensor_slices((images[part], labels[part]))
        for part in (order[:237], order[237:])
    )
    rest = rest.shuffle(len(rest), seed=FLAGS.seed)
    return (
        rest.batch(batch_size, drop_remainder=True).prefetch(1),
        chosen.batch(batch_size),
        test_ds,
    )


DATA = {"digits": digits, "fashion_mnist": fashion_mnist}


def train(plan, train_ds, held_out_ds):
    """Trains by a recipe, or goes on with it.

    Args:
        plan: `Recipe`.
        train_ds, held_out_ds: datasets to train and to choose the epoch on.

    Returns:
        `keras.Model` with the weights of the best epoch.
    """
    model = plan.model(network(plan.image_size))
    plan.compile(model, len(train_ds))
    model.fit(
        train_ds,
        epochs=FLAGS.stop_after or plan.epochs,
        validation_data=held_out_ds,
        callbacks=keras_sat.callbacks.standard(
            model, FLAGS.output_dir, held_out_ds
        ),
        verbose=2,
    )
    return keras_sat.load_classifier(
        os.path.join(FLAGS.output_dir, "best.keras")
    )


def measure(model, test_ds, epsilon):
    """Makes AutoAttack, or goes on with it.

    Args:
        model: `keras.Model`.
        test_ds: dataset of all test images.
        epsilon: float. The radius.

    Returns:
        `RobustnessReport`, and what it does not say: list of str.
    """
    # Batches of the same images, however many there are of them: a report of
    # some is the beginning of that of all.
    images = test_ds.unbatch().take(FLAGS.report_images or -1).batch(BATCH)
    images.view = test_ds.view
    report = keras_sat.evaluate_robustness(
        model,
        images,
        epsilon=epsilon,
        state_path=os.path.join(FLAGS.output_dir, "evaluation.jsonl"),
        class_names=STATED[FLAGS.preset]["class_names"],
    )
    if report.num_images == test_ds.num_images:
        return report, []
    clean = keras_sat.evaluate_robustness(
        model, test_ds, "apgd-ce", epsilon=0.0, diagnose=False, verbose=0
    )
    return report, [
        f"AutoAttack was made on the first {report.num_images:,} test images "
        f"only. On all {clean.num_images:,}, the clean accuracy is "
        f"{clean.clean_accuracy:.2%}."
    ]


def chosen_epoch():
    """Returns the number of the best epoch on the images held out."""
    with open(os.path.join(FLAGS.output_dir, "best.json")) as file:
        return json.load(file)["epoch"]


def command():
    """Returns what trains and measures the preset again."""
    words = ["python examples/train_preset.py", f"--preset={FLAGS.preset}"]
    if FLAGS.data_dir:
        words.append(f"--data_dir={FLAGS.data_dir}")
    words.append(f"--output_dir=outputs/{FLAGS.preset}")
    for name in ("epochs", "stop_after", "seed", "report_images"):
        if FLAGS[name].value != FLAGS[name].default:
            words.append(f"--{name}={FLAGS[name].value}")
    return " ".join(words)


def main(_):
    """Trains, measures and writes the preset."""
    keras.utils.set_random_seed(FLAGS.seed)
    plan = recipe()
    train_ds, held_out_ds, test_ds = DATA[FLAGS.preset](plan.batch_size)
    model = train(plan, train_ds, held_out_ds)
    report, notes = measure(model, test_ds, plan.epsilon)
    print(report)
    fields = plan.get_config() | {"chosen_epoch": chosen_epoch()}
    # The network is a smaller one than recipes know by name.
    for name in ("network", "network_options", "activation"):
        del fields[name]
    card = {
        "recipe": {"network": "residual_network", **NETWORK} | fields,
        "command": command(),
        "seeds": {"training": FLAGS.seed, "attacks": report.seed},
        "machine": FLAGS.machine,
        "limits": notes + LIMITS,
    }
    folder = os.path.join(FLAGS.output_dir, f"resnet_silu_{FLAGS.preset}")
    keras_sat.save_preset(
        model, folder, report, STATED[FLAGS.preset] | card, overwrite=True
    )
    print(f"\nWritten to {os.path.abspath(folder)}")


if __name__ == "__main__":
    app.run(keras_sat.interruptible(main))
