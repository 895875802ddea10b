"""Looks for signs that the robustness of smooth networks is not real.

python examples/studies/sanity.py

For each activation: accuracy falls to about 0 as the radius grows; more steps
of the attack find little more; images made on the network with ReLU of the same
seed, and the other way round, are no stronger than those made on the attacked
network itself; AutoAttack agrees; and how often the gradient in the images
keeps its signs after a small random move, which is a direct measure of how good
gradients are. Pictures: the accuracy by radius, and the loss along the sign of
the gradient and along random signs.
"""

import numpy as np
import tensorflow as tf
from absl import app
from study import engine
from study import pictures
from study import program
from study.arms import LEAKY_RELU
from study.arms import Arm
from study.arms import Study

import keras_sat

IMAGES = 500
# Multiples of the radius of training.
RADII = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
STEPS = (10, 50, 200)
MOVES = (0.1, 0.5)
# Places of the loss surface, in both directions, as multiples of the radius.
PLACES = (-1.0, -0.5, 0.0, 0.5, 1.0)
BY_RADIUS = {radius: f"at_{radius}_epsilon" for radius in RADII}
BY_STEPS = {steps: f"after_{steps}_steps" for steps in STEPS}
BY_MOVE = {move: f"same_signs_at_{move}_epsilon" for move in MOVES}
SURFACE = {(a, b): f"loss_at_{a}_{b}" for a in PLACES for b in PLACES}
# On which network images were made, and which one classifies them.
TRANSFER = {
    "white_box": "made here",
    "from_relu": "made on `relu`",
    "relu_white_box": "made on `relu`, classified there",
    "to_relu": "made here, classified by `relu`",
}


def sanity(trained):
    """Returns the numbers of all checks."""
    images, labels = (part[:IMAGES] for part in trained.data.test)
    images = np.asarray(images, "float32")
    if images.max() > 1:
        images = images / np.float32(255)
    batch = tf.constant(images), tf.constant(labels, tf.int32)
    return {
        **falls_to_zero(trained, *batch),
        **converges(trained, *batch),
        **transfer(trained, *batch),
        **same_signs(trained, *batch),
        **surface(trained, *batch),
    }


def falls_to_zero(trained, images, labels):
    """Returns the accuracy at each radius."""
    epsilon = trained.setting.epsilon
    found = keras_sat.robustness_curve(
        trained.network,
        (images, labels),
        [min(1.0, radius * epsilon) for radius in RADII],
        [trained.setting.attack(20)],
        seed=trained.seed,
        batch_size=250,
        verbose=0,
    )
    return dict(zip(BY_RADIUS.values(), found.values(), strict=True))


def converges(trained, images, labels):
    """Returns the accuracy after each number of steps."""
    found = keras_sat.convergence_curve(
        trained.network,
        (images, labels),
        STEPS,
        trained.setting.epsilon,
        seed=trained.seed,
        batch_size=250,
        verbose=0,
    )
    return dict(zip(BY_STEPS.values(), found.values(), strict=True))


def transfer(trained, images, labels):
    """Returns accuracies on images made on this network, and on that with ReLU.

    The network with ReLU has the same seed. For ReLU itself there is no other
    one, and only the first number.
    """
    attack = trained.setting.attack(20)

    @tf.function
    def made_on(network):
        return attack(network, images, labels)

    own = made_on(trained.network)
    found = dict.fromkeys(TRANSFER)
    found["white_box"] = _accuracy(trained.network, own, labels)
    if trained.arm == STUDY.arms["relu"]:
        return found
    relu = engine.train(
        STUDY.arms["relu"], trained.setting, trained.data, trained.seed
    ).network
    theirs = made_on(relu)
    found["from_relu"] = _accuracy(trained.network, theirs, labels)
    found["relu_white_box"] = _accuracy(relu, theirs, labels)
    found["to_relu"] = _accuracy(relu, own, labels)
    return found


def same_signs(trained, images, labels):
    """Returns how many signs of the gradient remain after a random move.

    Pixels without a gradient at the images do not count.
    """
    here = np.sign(_gradient(trained.network, images, labels))
    counted = here != 0
    generator = np.random.default_rng(trained.seed)
    found = {}
    for move, column in BY_MOVE.items():
        size = move * trained.setting.epsilon
        noise = generator.uniform(-size, size, images.shape)
        moved = tf.clip_by_value(images + noise.astype("float32"), 0.0, 1.0)
        there = np.sign(_gradient(trained.network, moved, labels))
        found[column] = float((here == there)[counted].mean())
    return found


def surface(trained, images, labels):
    """Returns the mean loss at moves along the gradient and at random."""
    sign = np.sign(_gradient(trained.network, images, labels))
    generator = np.random.default_rng(trained.seed)
    other = generator.choice(np.float32([-1, 1]), images.shape)
    found = {}
    for (along, across), column in SURFACE.items():
        move = trained.setting.epsilon * (along * sign + across * other)
        found[column] = float(
            tf.reduce_mean(_losses(trained.network, images + move, labels))
        )
    return found


def _accuracy(network, images, labels):
    """Returns the share of images that are classified right."""
    found = tf.argmax(network(images, training=False), -1, tf.int32)
    return float(tf.reduce_mean(tf.cast(found == labels, tf.float32)))


def _losses(network, images, labels):
    """Returns the cross-entropy of each image."""
    logits = network(images, training=False)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _gradient(network, images, labels):
    """Returns the gradient of the loss in the images, as an array."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        loss = tf.reduce_sum(_losses(network, images, labels))
    return tape.gradient(loss, images).numpy()


def draw(rows, path):
    """Draws the accuracy by radius, and the loss surfaces."""
    pictures.curves(
        rows,
        STUDY.arms,
        BY_RADIUS,
        "radius, as a multiple of that of training",
        f"{path}_radius.png",
    )
    pictures.surfaces(rows, STUDY.arms, SURFACE, f"{path}_surface.png")


STUDY = Study(
    name="sanity",
    arms={
        "relu": Arm(),
        "leaky_relu": Arm(activation=LEAKY_RELU),
        "parametric_softplus": Arm(activation="parametric_softplus"),
        "softplus": Arm(activation="softplus"),
        "silu": Arm(activation="silu"),
        "gelu": Arm(activation="gelu"),
        "elu": Arm(activation="elu"),
        "smoothrelu": Arm(activation="smoothrelu"),
    },
    seeds=5,
    quick_arms=("relu", "parametric_softplus", "silu"),
    measure=sanity,
    columns=(
        *BY_RADIUS.values(),
        *BY_STEPS.values(),
        *TRANSFER,
        *BY_MOVE.values(),
        *SURFACE.values(),
    ),
    shown={
        **{BY_MOVE[move]: f"same signs after {move} ε, %" for move in MOVES},
        **{column: f"{title}, %" for column, title in TRANSFER.items()},
    },
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY, draw))
