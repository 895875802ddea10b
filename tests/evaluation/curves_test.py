"""Curves against closed forms."""

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat.evaluation.curves import convergence_curve
from keras_sat.evaluation.curves import robustness_curve
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class CurveTest(TestCase):
    def test_the_robustness_curve_of_a_linear_model_is_the_closed_form(self):
        problem = problems.Linear(5)
        radii = [0.0, *problem.epsilons("l2")]
        curve = robustness_curve(
            problem.model,
            (problem.images, problem.labels),
            radii[::-1],
            "fab-t",
            norm="l2",
            verbose=0,
        )
        distances = problem.distances("l2")
        expected = {r: float(np.mean(distances > r)) for r in radii}
        self.assertEqual(curve, expected)
        self.assertEqual(list(curve), sorted(radii))

    def test_accuracy_falls_with_the_steps_to_the_closed_form(self):
        problem = problems.Linear(2, scale=5.0)
        epsilon = problem.epsilons("linf")[1]
        curve = convergence_curve(
            problem.model,
            (problem.images, problem.labels),
            (1, 5, 50),
            epsilon=epsilon,
            verbose=0,
        )
        expected = np.mean(problem.distances("linf") > epsilon)
        self.assertAllClose(curve[50], expected)
        self.assertGreaterEqual(curve[1], curve[50])

    @parameterized.parameters(
        ({"epsilons": ["0.1"]}, "`epsilons` must be a number"),
        ({"epsilons": [None]}, "`epsilons` must be a number"),
        ({"epsilons": "0.1"}, "`epsilons` must be a sequence"),
        ({"epsilons": 0.1}, "`epsilons` must be a sequence"),
        ({"epsilons": []}, "`epsilons` must not be empty"),
        ({"steps": [2.5]}, "`steps` must be an integer"),
        ({"steps": [0]}, "`steps` must be at least 1"),
    )
    def test_bad_radii_and_steps_are_refused(self, options, message):
        problem = problems.Linear(2)
        curve = robustness_curve if "epsilons" in options else convergence_curve
        # Before the images are read.
        with self.assertRaisesRegex((ValueError, TypeError), message):
            curve(problem.model, iter(()), **options)
