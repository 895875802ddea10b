"""Weights of PyTorch networks, for models of Keras."""

from keras_sat.torch_weights.checkpoints import load_torch_checkpoint
from keras_sat.torch_weights.leaderboard import RobustBenchEntry
from keras_sat.torch_weights.leaderboard import robustbench
from keras_sat.torch_weights.leaderboard import robustbench_entries

__all__ = [
    "RobustBenchEntry",
    "load_torch_checkpoint",
    "robustbench",
    "robustbench_entries",
]
