"""Smooth activations, and how a model gets one for each of its places."""

from keras_sat.activations.by_name import NAMES
from keras_sat.activations.by_name import get
from keras_sat.activations.by_name import layer
from keras_sat.activations.functions import celu
from keras_sat.activations.functions import elu
from keras_sat.activations.functions import gelu
from keras_sat.activations.functions import gelu_exact
from keras_sat.activations.functions import mish
from keras_sat.activations.functions import parametric_softplus
from keras_sat.activations.functions import relu
from keras_sat.activations.functions import silu
from keras_sat.activations.functions import softplus
from keras_sat.activations.functions import squareplus
from keras_sat.activations.layers import CELU
from keras_sat.activations.layers import ELU
from keras_sat.activations.layers import ParametricSoftplus
from keras_sat.activations.layers import SmoothReLU
from keras_sat.activations.relu_with_other_gradient import ReLUWithGradientOf
from keras_sat.activations.relu_with_other_gradient import relu_with_gradient_of

__all__ = [
    "CELU",
    "ELU",
    "NAMES",
    "ParametricSoftplus",
    "ReLUWithGradientOf",
    "SmoothReLU",
    "celu",
    "elu",
    "gelu",
    "gelu_exact",
    "get",
    "layer",
    "mish",
    "parametric_softplus",
    "relu",
    "relu_with_gradient_of",
    "silu",
    "softplus",
    "squareplus",
]
