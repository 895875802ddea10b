"""Adversarial training: the model, and the objectives that it trains for."""

from keras_sat.training.objectives import TRADES
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.objectives import CrossEntropy
from keras_sat.training.objectives import Objective
from keras_sat.training.sat_model import SATModel

__all__ = [
    "TRADES",
    "AdversarialTraining",
    "CrossEntropy",
    "Objective",
    "SATModel",
]
