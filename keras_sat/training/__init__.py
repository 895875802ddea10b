"""Adversarial training: the model, and the objectives that it trains for."""

from keras_sat.training.objectives import MART
from keras_sat.training.objectives import TRADES
from keras_sat.training.objectives import AdversarialTraining
from keras_sat.training.objectives import CrossEntropy
from keras_sat.training.objectives import Objective
from keras_sat.training.sat_model import SATModel
from keras_sat.training.wrapped_objectives import AWP
from keras_sat.training.wrapped_objectives import FreeTraining
from keras_sat.training.wrapped_objectives import GradAlign

__all__ = [
    "AWP",
    "MART",
    "TRADES",
    "AdversarialTraining",
    "CrossEntropy",
    "FreeTraining",
    "GradAlign",
    "Objective",
    "SATModel",
]
