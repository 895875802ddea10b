"""Sets the objectives of the field beside each other, with ReLU and with SILU.

python examples/studies/objectives.py

Adversarial training, TRADES, MART, AWP, free adversarial training, and the
trainings against one step of the attack: FGSM-RS, N-FGSM, and FGSM with
GradAlign. The table adds the processor time of a training. Free adversarial
training uses each batch four times, and has a quarter of the epochs.
"""

from absl import app
from study import program
from study.arms import Arm
from study.arms import Study

import keras_sat

REPLAYS = 4
# From names to what differs from adversarial training.
OBJECTIVES = {
    "": {},
    "trades": {"objective": keras_sat.TRADES()},
    "mart": {"objective": keras_sat.MART()},
    "awp": {"objective": keras_sat.AWP()},
    "free": {
        "objective": keras_sat.FreeTraining(replays=REPLAYS),
        "epochs": 1 / REPLAYS,
    },
    "fgsm_rs": {"attack": keras_sat.FGSMRS},
    "n_fgsm": {"attack": keras_sat.NFGSM},
    "gradalign": {
        "attack": keras_sat.FGSM,
        "objective": keras_sat.GradAlign(),
    },
}

STUDY = Study(
    name="objectives",
    arms={
        "_".join(filter(None, (activation, name))): Arm(
            activation=activation, **changes
        )
        for activation in ("relu", "silu")
        for name, changes in OBJECTIVES.items()
    },
    seeds=5,
    quick_arms=tuple("_".join(filter(None, ("relu", n))) for n in OBJECTIVES),
    shown={"train_processor_seconds": "seconds of training, processor time"},
)

if __name__ == "__main__":
    app.run(program.main_of(STUDY))
