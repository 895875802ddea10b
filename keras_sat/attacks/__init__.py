"""Attacks: images within a ball around clean ones that a model fails on."""

from keras_sat.attacks.attack import Attack
from keras_sat.attacks.pgd import FGSM
from keras_sat.attacks.pgd import PGD

__all__ = ["FGSM", "PGD", "Attack"]
