"""Checks of all that users pass in; their errors have one form."""

from keras_sat.checks.arguments import Described as Described
from keras_sat.checks.arguments import integer as integer
from keras_sat.checks.arguments import lookup as lookup
from keras_sat.checks.arguments import one_of as one_of
from keras_sat.checks.arguments import path as path
from keras_sat.checks.arguments import probability as probability
from keras_sat.checks.arguments import real as real
from keras_sat.checks.arguments import refuse as refuse
from keras_sat.checks.arguments import value_range as value_range
from keras_sat.checks.classifiers import classifier as classifier
from keras_sat.checks.losses import of_logits as of_logits
