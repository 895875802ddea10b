"""Compares AutoAttack with torchattacks, on the same weights and images.

python3 -m venv .venv-compare
.venv-compare/bin/pip install -c constraints.txt -e '.[digits]'
.venv-compare/bin/pip install torch==2.13.0 torchattacks==3.5.1
.venv-compare/bin/python -m benchmarks.compare_autoattack

Two networks are trained adversarially on the digits in Keras, and their weights
are given to twins in PyTorch. Both libraries run each attack alone, and then
AutoAttack, on the whole test set, one right after the other. The attacks of
torchattacks get the settings of the standard version (its own `AutoAttack`
makes 10 steps where the paper makes 100).
"""

import time

import keras
import numpy as np
import tensorflow as tf
import torch
import torchattacks
from absl import app
from absl import flags

import keras_sat
from benchmarks import torch_twins

EPSILONS = {"linf": 0.1, "l2": 0.5}
ATTACKS = "apgd-ce", "apgd-t", "fab-t", "square"
ALONE = *ATTACKS, "square, all places"

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["convnet", "resnet18"], "Networks.")
flags.DEFINE_list("norms", ["linf", "l2"], "Norms.")
flags.DEFINE_integer("image_size", 8, "Height and width of the images.")
flags.DEFINE_multi_integer(
    "filters", [4, 8, 16, 32], "Channels of the four stages of resnet18."
)
flags.DEFINE_integer("epochs", 15, "Epochs of adversarial training.")
flags.DEFINE_integer("threads", 2, "Threads of PyTorch.")
flags.DEFINE_string("device", "cpu", "Where PyTorch computes, such as cuda.")
flags.DEFINE_integer("batch_size", 180, "Images in a batch of this package.")
flags.DEFINE_bool("jit_compile", False, "Whether this package uses XLA.")
flags.DEFINE_list("attacks", list(ALONE), "Attacks to run alone.")
flags.DEFINE_integer("rounds", 1, "Number of times that AutoAttack is timed.")


class FullSquare(torchattacks.Square):
    """Square with squares everywhere.

    torchattacks, like the authors' code, draws the corner of a square from
    `[0, height - side)`: the last row and column are not reached by small
    squares, which matters for images of 8x8 pixels.
    """

    def random_int(self, low=0, high=1, shape=(1,)):
        """Returns an integer from `low` to `high`, both included."""
        return super().random_int(low, high + 1, list(shape))


def convnet():
    """Returns a network with two convolutions."""
    inputs = keras.Input((FLAGS.image_size, FLAGS.image_size, 3))
    x = keras.layers.Rescaling(2.0, -1.0)(inputs)
    x = keras.layers.Conv2D(
        16, 3, padding="same", activation="silu", name="conv0"
    )(x)
    x = keras.layers.AveragePooling2D(2)(x)
    x = keras.layers.Conv2D(
        32, 3, padding="same", activation="silu", name="conv1"
    )(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))


def resnet18():
    """Returns a ResNet-18 that is narrow enough for two cores."""
    return keras_sat.models.residual_network(
        repeats=(2, 2, 2, 2),
        filters=FLAGS.filters,
        num_classes=10,
        input_shape=(FLAGS.image_size, FLAGS.image_size, 3),
        stem="small",
        stem_filters=FLAGS.filters[0],
        block="basic",
    )


BUILDERS = {"convnet": convnet, "resnet18": resnet18}


def as_torch(images):
    """Returns images of Keras in the form that PyTorch takes."""
    images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return torch.from_numpy(images).to(FLAGS.device)


def set_up():
    """Gives both libraries the same conditions."""
    torch.set_num_threads(FLAGS.threads)
    # Both compute in float32, not in the TensorFloat-32 of newer GPUs.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    torch.backends.cudnn.allow_tf32 = False


def twin_of(name, model):
    """Returns the network in PyTorch, with the weights of `model`."""
    twin = torch_twins.ConvNet()
    if name == "resnet18":
        twin = torch_twins.ResNet18(FLAGS.filters)
    return torch_twins.with_weights(twin, model).to(FLAGS.device)


def trained(name):
    """Returns a trained network, its twin in PyTorch, and the test images."""
    keras.utils.set_random_seed(0)
    train_ds, test_ds = keras_sat.data.digits(64, FLAGS.image_size)
    model = BUILDERS[name]()
    attack = keras_sat.PGD(epsilon=0.1, step_size=0.05, steps=3)
    sat = keras_sat.SATModel(model, attack=attack)
    sat.compile(keras.optimizers.Adam(3e-3))
    sat.fit(train_ds, epochs=FLAGS.epochs, verbose=0)
    pairs = list(test_ds.as_numpy_iterator())
    images, labels = map(np.concatenate, zip(*pairs, strict=True))
    twin = twin_of(name, model)
    with torch.no_grad():
        logits = twin(as_torch(images)).cpu().numpy()
    difference = np.abs(logits - model(images).numpy()).max()
    print(f"\n{name}: {model.count_params():,} weights, the logits differ by")
    print(f"{difference:.1e} at most.\n")
    if difference > 1e-4:
        raise ValueError("The twins are not the same function.")
    return model, twin, images, labels


def peer(attack, twin, norm):
    """Returns an attack of torchattacks, with the standard settings."""
    common = {"norm": {"linf": "Linf", "l2": "L2"}[norm], "eps": EPSILONS[norm]}
    if attack == "apgd-ce":
        return torchattacks.APGD(twin, steps=100, loss="ce", **common)
    if attack == "apgd-t":
        return torchattacks.APGDT(twin, steps=100, n_classes=10, **common)
    if attack == "fab-t":
        return torchattacks.FAB(
            twin, steps=100, multi_targeted=True, n_classes=10, **common
        )
    if attack.startswith("square"):
        kind = torchattacks.Square if attack == "square" else FullSquare
        return kind(twin, n_queries=5000, resc_schedule=False, **common)
    return torchattacks.MultiAttack([peer(a, twin, norm) for a in ATTACKS])


def by_peer(attack, twin, images, labels, norm):
    """Returns robust accuracy by torchattacks, and seconds."""
    start = time.perf_counter()
    images = as_torch(images)
    labels = torch.from_numpy(labels).long().to(FLAGS.device)
    with torch.no_grad():
        right = twin(images).argmax(1) == labels
    clean, targets = images[right], labels[right]
    adversarial = peer(attack, twin, norm)(clean, targets)
    # Judged as in this package: projected into the ball and the range.
    delta = adversarial - clean
    radius = EPSILONS[norm]
    if norm == "linf":
        delta = delta.clamp(-radius, radius)
    else:
        size = delta.flatten(1).norm(dim=1).clamp(min=radius)
        delta = delta * (radius / size)[:, None, None, None]
    with torch.no_grad():
        adversarial = (clean + delta).clamp(0, 1)
        robust = (twin(adversarial).argmax(1) == targets).sum().item()
    return robust / len(labels), time.perf_counter() - start


def by_us(attack, model, images, labels, norm):
    """Returns robust accuracy by this package, and seconds."""
    start = time.perf_counter()
    report = keras_sat.evaluate_robustness(
        model,
        (images, labels),
        "standard" if attack == "autoattack" else attack.split(",")[0],
        EPSILONS[norm],
        norm,
        batch_size=FLAGS.batch_size,
        diagnose=False,
        jit_compile=FLAGS.jit_compile,
        verbose=0,
    )
    return report.robust_accuracy, time.perf_counter() - start


def main(_):
    """Prints a table for each network and norm."""
    set_up()
    for name in FLAGS.models:
        model, twin, images, labels = trained(name)
        print(
            "| norm | attack | keras_sat | torchattacks | difference "
            "| keras_sat | torchattacks | ratio |"
        )
        print("|---" * 8 + "|")
        for norm in FLAGS.norms:
            for attack in [*FLAGS.attacks, *["autoattack"] * FLAGS.rounds]:
                ours, seconds = by_us(attack, model, images, labels, norm)
                theirs, others = by_peer(attack, twin, images, labels, norm)
                print(
                    f"| {norm} {EPSILONS[norm]} | {attack} | {ours:.2%} "
                    f"| {theirs:.2%} | {100 * (ours - theirs):+.2f} "
                    f"| {seconds:.1f} s | {others:.1f} s "
                    f"| {others / seconds:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    app.run(main)
