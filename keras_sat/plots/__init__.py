"""Pictures of attacks, robustness, training and activations."""

from keras_sat.plots.accuracies import evaluation
from keras_sat.plots.accuracies import robustness_curves
from keras_sat.plots.accuracies import training_curves
from keras_sat.plots.activation_curves import activations
from keras_sat.plots.figures import COLORS
from keras_sat.plots.image_grid import perturbation_grid

__all__ = [
    "COLORS",
    "activations",
    "evaluation",
    "perturbation_grid",
    "robustness_curves",
    "training_curves",
]
