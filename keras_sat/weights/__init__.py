"""The variables of a network, and what is made of them."""

from keras_sat.weights.decay import kernels as kernels
from keras_sat.weights.decay import penalty as penalty
