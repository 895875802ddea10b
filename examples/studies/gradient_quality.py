"""Asks whether better gradients alone make adversarial training better.

python examples/studies/gradient_quality.py

Every network but the last two computes ReLU. What differs is the derivative
that stands in for the one of ReLU: that of parametric softplus with alpha 10,
for the attack of training, for the optimizer, for both or for neither.
Parametric softplus in both passes is the next step; leaky ReLU is a control
that, like ReLU, is not smooth. Evaluations follow the true gradient of what the
network computes.
"""

from absl import app
from study import program
from study.arms import LEAKY_RELU
from study.arms import Arm
from study.arms import Study

import keras_sat

BETTER = keras_sat.relu_with_gradient_of("parametric_softplus")

STUDY = Study(
    name="gradient_quality",
    quick_seeds=2,
    arms={
        "relu": Arm(reported=("68.8", "33.0")),
        "attacker": Arm(attack_activation=BETTER, reported=("68.3", "34.5")),
        "optimizer": Arm(
            activation=BETTER,
            attack_activation="relu",
            evaluated_activation="relu",
            reported=("69.4", "35.8"),
        ),
        "both": Arm(
            activation=BETTER,
            evaluated_activation="relu",
            reported=("68.9", "36.9"),
        ),
        "parametric_softplus": Arm(
            activation="parametric_softplus", reported=("68.8", "38.7")
        ),
        "leaky_relu": Arm(activation=LEAKY_RELU),
    },
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY))
