"""Checks of everything that users pass in; their errors have one form."""

from keras_sat.checks.arguments import Described as Described
from keras_sat.checks.arguments import class_names as class_names
from keras_sat.checks.arguments import integer as integer
from keras_sat.checks.arguments import lookup as lookup
from keras_sat.checks.arguments import one_of as one_of
from keras_sat.checks.arguments import path as path
from keras_sat.checks.arguments import probability as probability
from keras_sat.checks.arguments import real as real
from keras_sat.checks.arguments import refuse as refuse
from keras_sat.checks.arguments import value_range as value_range
from keras_sat.checks.classifiers import attackable as attackable
from keras_sat.checks.classifiers import classifier as classifier
from keras_sat.checks.classifiers import (
    explained_failures as explained_failures,
)
from keras_sat.checks.classifiers import keras_network as keras_network
from keras_sat.checks.classifiers import layer_graph as layer_graph
from keras_sat.checks.graphs import network_of as network_of
from keras_sat.checks.losses import takes_logits as takes_logits
from keras_sat.checks.outputs import logits as logits
from keras_sat.checks.outputs import not_probabilities as not_probabilities
from keras_sat.checks.scaling import fits_value_range as fits_value_range
