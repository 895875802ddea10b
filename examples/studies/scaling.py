"""Asks whether larger networks are more robust: with ReLU, and with SILU.

python examples/studies/scaling.py

It has the form of the paper's table at a small scale: bottleneck blocks, deeper
by more blocks a stage, wider by more groups (cardinality) and by wider ones, on
larger images, and all three together; and a small EfficientNet, before and
after one step of compound scaling. The numbers of others beside SILU are those
of the official repository for ResNet-50 and what it is scaled to, on ImageNet.
"""

import functools

from absl import app
from study import program
from study.arms import Arm
from study.arms import Study

import keras_sat

BASE = {"block": "bottleneck", "filters": (8, 16, 32), "stem_filters": 16}
DEEPER, DEEPEST = {"repeats": (2, 2, 2)}, {"repeats": (3, 3, 3)}
# The width of the 3x3 convolutions, as a multiple: cardinality times group
# width, divided by 64.
WIDER = {"cardinality": 4, "group_width": 32}
WIDEST = {"cardinality": 4, "group_width": 64}
# From names to changes of the network, to the size of its images, and to what
# the official repository has for SILU: clean accuracy, and that after PGD-50.
SCALINGS = {
    "": ({}, None, ("69.7", "41.9")),
    "2x_deeper": (DEEPER, None, ("72.9", "45.2")),
    "3x_deeper": (DEEPEST, None, ("74.0", "45.8")),
    "2x_wider": (WIDER, None, ("71.1", "42.2")),
    "4x_wider": (WIDEST, None, ("73.3", "44.8")),
    "larger_images": ({}, 36, ("70.7", "43.6")),
    "largest_images": ({}, 48, ("71.6", "43.8")),
    "all_three": (DEEPER | WIDER, 36, ("78.0", "51.0")),
}
# From names to width, depth and the size of images: one step of compound
# scaling is 1.1 times the width, 1.2 times the depth and 1.15 times the size.
EFFICIENTNETS = {
    "efficientnet": (0.5, 0.5, None),
    "efficientnet_scaled": (0.5 * 1.1**3, 0.5 * 1.2**3, 42),
}


def arms():
    """Returns each scaling with ReLU, and then with SILU."""
    found = {}
    for activation in ("relu", "silu"):
        for name, (changes, size, reported) in SCALINGS.items():
            found["_".join(filter(None, (activation, name)))] = Arm(
                activation=activation,
                network=BASE | changes,
                image_size=size,
                reported=reported if activation == "silu" else (),
            )
        for name, (width, depth, size) in EFFICIENTNETS.items():
            builder = functools.partial(
                keras_sat.models.scaled_efficientnet, width, depth
            )
            found[f"{activation}_{name}"] = Arm(
                activation=activation, builder=builder, image_size=size
            )
    return found


STUDY = Study(
    name="scaling",
    arms=arms(),
    seeds=5,
    quick_arms=("relu", "silu", "silu_2x_deeper", "silu_efficientnet"),
    reported=("official repository, ImageNet: clean", "PGD-50"),
    shown={"parameters": "weights"},
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY))
