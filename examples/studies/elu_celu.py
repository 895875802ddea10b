"""Asks whether smoothness itself counts: ELU against CELU, by alpha.

python examples/studies/elu_celu.py

Both tend to -alpha far below 0. The derivative of ELU jumps at 0, from alpha to
1; that of CELU does not. With alpha 1 they are the same function, which is one
arm here. The picture `elu_celu_alpha.png` shows robust accuracy by alpha.
"""

from absl import app
from study import pictures
from study import program
from study.arms import Arm
from study.arms import Study

import keras_sat

ALPHAS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
KINDS = {
    "elu": keras_sat.activations.ELU,
    "celu": keras_sat.activations.CELU,
}


def arms():
    """Returns ReLU, and both kinds with each alpha."""
    found = {"relu": Arm()}
    for kind, layer in KINDS.items():
        for alpha in ALPHAS:
            if (kind, alpha) != ("celu", 1.0):
                found[f"{kind}_{alpha}"] = Arm(activation=layer(alpha))
    return found


def draw(rows, path):
    """Draws the robust accuracy of both kinds by alpha."""
    lines = {
        kind: {
            alpha: "elu_1.0" if alpha == 1.0 else f"{kind}_{alpha}"
            for alpha in ALPHAS
        }
        for kind in KINDS
    }
    pictures.arms_in_lines(rows, lines, "alpha", f"{path}_alpha.png")


STUDY = Study(name="elu_celu", arms=arms())

if __name__ == "__main__":
    app.run(program.main_of(STUDY, draw))
