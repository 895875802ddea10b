"""Trained robust networks: those of this package, and those of its users."""

from keras_sat.pretrained.card import PresetCard as PresetCard
from keras_sat.pretrained.shipped import PresetTable as PresetTable
from keras_sat.pretrained.shipped import load_preset as load_preset
from keras_sat.pretrained.shipped import presets as presets
from keras_sat.pretrained.shipped import save_preset as save_preset

__all__ = [
    "PresetCard",
    "PresetTable",
    "load_preset",
    "presets",
    "save_preset",
]
