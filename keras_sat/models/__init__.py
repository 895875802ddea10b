"""Classifiers from images in `[0, 1]` to logits, for any activation."""

from keras_sat.models.activation_places import activation_sites
from keras_sat.models.by_name import get
from keras_sat.models.conversion import convert_activations
from keras_sat.models.convnext import convnext
from keras_sat.models.efficientnet import efficientnet
from keras_sat.models.efficientnet import scaled_efficientnet
from keras_sat.models.new_head import with_new_head
from keras_sat.models.official_checkpoints import load_official_checkpoint
from keras_sat.models.preact_resnet import preact_resnet
from keras_sat.models.resnet import residual_network
from keras_sat.models.resnet import resnet
from keras_sat.models.resnet import resnext
from keras_sat.models.wide_resnet import wide_resnet

__all__ = [
    "activation_sites",
    "convert_activations",
    "convnext",
    "efficientnet",
    "get",
    "load_official_checkpoint",
    "preact_resnet",
    "residual_network",
    "resnet",
    "resnext",
    "scaled_efficientnet",
    "wide_resnet",
    "with_new_head",
]
