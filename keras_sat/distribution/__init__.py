"""Strategies for one device or many, accelerators, and XLA."""

from keras_sat.distribution.compilation_cache import keep_compilations
from keras_sat.distribution.strategies import KINDS
from keras_sat.distribution.strategies import current_strategy
from keras_sat.distribution.strategies import has_accelerator
from keras_sat.distribution.strategies import is_chief
from keras_sat.distribution.strategies import on_any_worker
from keras_sat.distribution.strategies import several_workers
from keras_sat.distribution.strategies import strategy
from keras_sat.distribution.strategies import wait_for_workers
from keras_sat.distribution.xla import uses_xla

__all__ = [
    "KINDS",
    "current_strategy",
    "has_accelerator",
    "is_chief",
    "keep_compilations",
    "on_any_worker",
    "several_workers",
    "strategy",
    "uses_xla",
    "wait_for_workers",
]
