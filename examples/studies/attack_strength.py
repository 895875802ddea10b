"""Asks whether ReLU catches up when its training spends more.

python examples/studies/attack_strength.py

ReLU is trained with one, two and three steps of the attack, and for twice as
many epochs; SILU with one step is beside it. The accuracy of each network after
1 to 200 steps of the evaluation's attack shows whether that has converged; that
by radius shows more than one point.
"""

from absl import app
from study import pictures
from study import program
from study.arms import Arm
from study.arms import Study

import keras_sat

STEPS = (1, 2, 5, 10, 20, 50, 100, 200)
# As multiples of the radius of training.
RADII = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
# The first test images, for the curves.
IMAGES = 1000
BY_STEPS = {steps: f"after_{steps}_steps" for steps in STEPS}
BY_RADIUS = {radius: f"at_{radius}_epsilon" for radius in RADII}


def curves(trained):
    """Returns the accuracies by steps and by radius."""
    images, labels = (part[:IMAGES] for part in trained.data.test)
    epsilon = trained.setting.epsilon
    options = {"seed": trained.seed, "batch_size": 250, "verbose": 0}
    by_steps = keras_sat.convergence_curve(
        trained.network, (images, labels), STEPS, epsilon, **options
    )
    by_radius = keras_sat.robustness_curve(
        trained.network,
        (images, labels),
        [radius * epsilon for radius in RADII],
        [trained.setting.attack(20)],
        **options,
    )
    return {
        **dict(zip(BY_STEPS.values(), by_steps.values(), strict=True)),
        **dict(zip(BY_RADIUS.values(), by_radius.values(), strict=True)),
    }


def draw(rows, path):
    """Draws both curves."""
    pictures.curves(
        rows,
        STUDY.arms,
        BY_STEPS,
        "steps of the evaluation",
        f"{path}_steps.png",
        log=True,
    )
    pictures.curves(
        rows,
        STUDY.arms,
        BY_RADIUS,
        "radius, as a multiple of that of training",
        f"{path}_radius.png",
    )


STUDY = Study(
    name="attack_strength",
    quick_arms=("relu", "relu_3_steps", "silu"),
    arms={
        "relu": Arm(),
        "relu_2_steps": Arm(steps=2),
        "relu_3_steps": Arm(steps=3),
        "relu_twice_as_long": Arm(epochs=2.0),
        "silu": Arm(activation="silu"),
    },
    measure=curves,
    columns=(*BY_STEPS.values(), *BY_RADIUS.values()),
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY, draw))
