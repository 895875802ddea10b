"""Asks which activations make adversarial training better, and what they cost.

python examples/studies/activations.py

The picture shows clean against robust accuracy; the table adds processor time
and memory of a training step. With alpha 1, CELU is ELU: here its alpha is 2.
"""

from absl import app
from study import program
from study.arms import LEAKY_RELU
from study.arms import Arm
from study.arms import Study

import keras_sat

# What a step costs, beside the accuracies.
COSTS = {
    "step_milliseconds": "ms of processor time a step",
    "step_megabytes": "MB a step",
}


def costs(trained):
    """Returns what a step of training took."""
    return trained.costs


STUDY = Study(
    name="activations",
    arms={
        "relu": Arm(reported=("68.80", "33.00")),
        "leaky_relu": Arm(activation=LEAKY_RELU),
        "softplus": Arm(activation="softplus", reported=("68.36", "40.00")),
        "parametric_softplus": Arm(
            activation="parametric_softplus", reported=("68.80", "38.70")
        ),
        "silu": Arm(activation="silu", reported=("69.73", "42.30")),
        "gelu": Arm(activation="gelu", reported=("69.95", "41.65")),
        "elu": Arm(activation="elu", reported=("69.20", "41.70")),
        "celu": Arm(activation=keras_sat.activations.CELU(2.0)),
        "smoothrelu": Arm(activation="smoothrelu", reported=("69.40", "40.30")),
        "mish": Arm(activation="mish"),
    },
    measure=costs,
    columns=tuple(COSTS),
    varying=tuple(COSTS),
    shown=COSTS,
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY))
