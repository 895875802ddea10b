"""Experiments on small models, which several tests make."""

import numpy as np
import tensorflow as tf

from keras_sat.attacks import APGD
from keras_sat.attacks.compiled import compiled
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.experiment_findings import find_warnings
from keras_sat.evaluation.experiments import Experiments
from keras_sat.predictions.inference import inference
from tests.attacks import problems


def survivors(model, images, labels, attack):
    """Returns which images are classified right and withstand an attack."""
    predict = inference(model)
    adversarial = compiled(attack, predict)(images, labels, (0, 1))
    return np.all(
        [np.argmax(predict(x), -1) == labels for x in (images, adversarial)], 0
    )


def experiments(model, images, labels, attack, batch_size=64, **changes):
    """Returns the `Experiments` after an evaluation by one attack."""
    evaluated = EvaluatedModel(model, attack.value_range)
    evaluated.batch_size = batch_size
    return Experiments(
        **{
            "evaluated": evaluated,
            "images": np.asarray(images, "float32"),
            "labels": np.asarray(labels, "int32"),
            "withstood": survivors(model, images, labels, attack),
            "epsilon": attack.epsilon,
            "norm": attack.norm,
            "seed": np.array([0, 1], "int32"),
        }
        | changes
    )


def linear(epsilon=0.05):
    """Returns a linear model with images, and an attack that breaks some."""
    problem = problems.Linear(5)
    attack = APGD(epsilon=epsilon, steps=10)
    return problem.model, problem.images, problem.labels, attack


def found(case):
    """Returns a dict from the name of each warning to what was observed."""
    warnings = find_warnings(case, case.accuracy_by_steps())
    return {warning.name: warning.found for warning in warnings}


@tf.custom_gradient
def quantised(x):
    """Few levels, with a gradient of 0."""
    return tf.round(8 * x) / 8, tf.zeros_like
