"""Attacks: they seek images near clean ones that a model misclassifies."""

from keras_sat.attacks.apgd import APGD
from keras_sat.attacks.attack import Attack
from keras_sat.attacks.auto_attack import AutoAttack
from keras_sat.attacks.compiled import compiled
from keras_sat.attacks.fab import FAB
from keras_sat.attacks.network import compiled_network
from keras_sat.attacks.pgd import FGSM
from keras_sat.attacks.pgd import PGD
from keras_sat.attacks.pieces import Pieces
from keras_sat.attacks.requested import requested_attacks
from keras_sat.attacks.single_step import FGSMRS
from keras_sat.attacks.single_step import NFGSM
from keras_sat.attacks.single_step import SingleStep
from keras_sat.attacks.square import Square
from keras_sat.attacks.stepwise import StepwiseAttack

__all__ = [
    "APGD",
    "FAB",
    "FGSM",
    "FGSMRS",
    "NFGSM",
    "PGD",
    "Pieces",
    "Attack",
    "AutoAttack",
    "SingleStep",
    "Square",
    "StepwiseAttack",
    "compiled",
    "compiled_network",
    "requested_attacks",
]
