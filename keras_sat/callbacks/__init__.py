"""Callbacks for the training of a `SATModel`."""

from keras_sat.callbacks.adversarial_images import AdversarialImages
from keras_sat.callbacks.best_checkpoint import BestCheckpoint
from keras_sat.callbacks.catastrophic_overfitting import CatastrophicOverfitting
from keras_sat.callbacks.resume import PREEMPTED
from keras_sat.callbacks.resume import Resume
from keras_sat.callbacks.standard_set import standard
from keras_sat.callbacks.stop_on_non_finite import StopOnNonFinite

__all__ = [
    "PREEMPTED",
    "AdversarialImages",
    "BestCheckpoint",
    "CatastrophicOverfitting",
    "Resume",
    "StopOnNonFinite",
    "standard",
]
