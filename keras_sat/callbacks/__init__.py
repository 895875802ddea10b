"""What happens between the steps and epochs of training."""

from keras_sat.callbacks.non_finite import StopOnNonFinite
from keras_sat.callbacks.resume import PREEMPTED
from keras_sat.callbacks.resume import Resume

__all__ = ["PREEMPTED", "Resume", "StopOnNonFinite"]
