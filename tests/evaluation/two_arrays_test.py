"""Tests of evaluations that are given images and labels apart."""

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.evaluation.two_arrays import takes_two_arrays
from tests.attacks import problems
from tests.test_case import TestCase


@takes_two_arrays
def given(model, dataset, attacks="standard", epsilon=None, *, seed=0):
    """Returns what it was given."""
    return model, dataset, attacks, epsilon, seed


IMAGES, LABELS = np.zeros((4, 8)), np.arange(4)
DATASET = tf.data.Dataset.from_tensors((IMAGES, LABELS))
X_Y = {"x": IMAGES, "y": LABELS}


class TwoArraysTest(TestCase):
    @parameterized.parameters(
        ((IMAGES, LABELS), {}),
        ((IMAGES,), {"y": LABELS}),
        ((), X_Y),
        ((), {"dataset": IMAGES, "y": LABELS}),
        (((IMAGES, LABELS),), {}),
        ((), {"dataset": (IMAGES, LABELS)}),
        ((tf.constant(IMAGES), tf.constant(LABELS)), {}),
        ((tf.constant(IMAGES), list(LABELS)), {}),
        ((list(IMAGES),), {"y": LABELS}),
    )
    def test_each_way_to_give_them_is_the_pair_of_both(self, args, kwargs):
        model, pair, *others = given("model", *args, **kwargs)
        self.assertEqual([model, *others], ["model", "standard", None, 0])
        self.assertIsInstance(pair, tuple)
        images, labels = pair
        self.assertAllEqual(images, IMAGES)
        self.assertAllEqual(labels, LABELS)

    @parameterized.parameters(
        ((IMAGES, LABELS, "rand", 0.5), {}),
        ((IMAGES, LABELS, "rand"), {"epsilon": 0.5}),
        ((IMAGES, LABELS), {"attacks": "rand", "epsilon": 0.5}),
        ((IMAGES, "rand", 0.5), {"y": LABELS}),
        ((IMAGES,), {"y": LABELS, "attacks": "rand", "epsilon": 0.5}),
        ((), X_Y | {"attacks": "rand", "epsilon": 0.5}),
        ((DATASET, "rand", 0.5), {}),
        ((DATASET, "rand"), {"epsilon": 0.5}),
        ((), {"dataset": DATASET, "attacks": "rand", "epsilon": 0.5}),
    )
    def test_other_arguments_follow(self, args, kwargs):
        _, dataset, *others = given("model", *args, seed=3, **kwargs)
        self.assertEqual(others, ["rand", 0.5, 3])
        if any(part is DATASET for part in (*args, *kwargs.values())):
            self.assertIs(dataset, DATASET)
        else:
            self.assertAllEqual(dataset[1], LABELS)

    @parameterized.parameters(
        ("`y` must be left out for a dataset", (DATASET,), {"y": LABELS}),
        ("`y` must be left out", ((IMAGES, LABELS),), {"y": LABELS}),
        ("`x` must be left out.*both", (DATASET,), X_Y),
        ("`x` must be left out.*both", (), X_Y | {"dataset": IMAGES}),
        ("`y` must be the array of the labels.*model, x, y", (IMAGES,), {}),
        ("`y` must be the array.*'standard'", (IMAGES, "standard"), {}),
        ("missing 1 required positional argument: 'dataset'", (), {}),
    )
    def test_what_does_not_fit_together_is_refused(self, error, args, kwargs):
        with self.assertRaisesRegex(TypeError, error):
            given("model", *args, **kwargs)

    @pytest.mark.numeric
    def test_the_functions_for_users_take_them(self):
        problem = problems.Linear(3)
        x, y = problem.images, problem.labels
        attack = keras_sat.PGD(epsilon=0.05, steps=2)
        options = {"verbose": 0}
        quick = options | {"diagnose": False}
        evaluate = keras_sat.evaluate_robustness
        expected = evaluate(problem.model, (x, y), attack, 0.03, **quick)
        by_name = {"x": x, "y": y, "attacks": attack, "epsilon": 0.03}
        for report in (
            evaluate(problem.model, x, y, attack, 0.03, **quick),
            evaluate(problem.model, **by_name, **quick),
        ):
            self.assertEqual(report, expected)
        curve = keras_sat.robustness_curve
        self.assertEqual(
            curve(problem.model, x, y, [0, 0.03], attack, **options),
            curve(problem.model, (x, y), [0, 0.03], attack, **options),
        )
        curve = keras_sat.convergence_curve
        self.assertEqual(
            curve(problem.model, x, y, [1, 2], 0.03, **options),
            curve(problem.model, (x, y), [1, 2], 0.03, **options),
        )
