"""Evaluation of how robust a classifier is, and reasons to doubt it."""

from keras_sat.evaluation.adversarial_pictures import adversarial_pictures
from keras_sat.evaluation.comparison import Comparison
from keras_sat.evaluation.comparison import compare
from keras_sat.evaluation.curves import convergence_curve
from keras_sat.evaluation.curves import robustness_curve
from keras_sat.evaluation.finding import Finding
from keras_sat.evaluation.paired_accuracies import PairedAccuracies
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.robustness import evaluate_robustness

__all__ = [
    "Comparison",
    "Finding",
    "PairedAccuracies",
    "RobustnessReport",
    "adversarial_pictures",
    "compare",
    "convergence_curve",
    "evaluate_robustness",
    "robustness_curve",
]
