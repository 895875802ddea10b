"""What happens between the steps and epochs of training."""

from keras_sat.callbacks.best import BestCheckpoint
from keras_sat.callbacks.images import AdversarialImages
from keras_sat.callbacks.non_finite import StopOnNonFinite
from keras_sat.callbacks.overfitting import CatastrophicOverfitting
from keras_sat.callbacks.resume import PREEMPTED
from keras_sat.callbacks.resume import Resume
from keras_sat.callbacks.standard import standard

__all__ = [
    "PREEMPTED",
    "AdversarialImages",
    "BestCheckpoint",
    "CatastrophicOverfitting",
    "Resume",
    "StopOnNonFinite",
    "standard",
]
