"""Classifiers under evaluation: their range, logits and refusals."""

import keras
import numpy as np
import pytest

from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.training.sat_model import SATModel
from tests.attacks import problems
from tests.evaluation.short_evaluations import evaluate
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class EvaluatedModelTest(TestCase):
    @pytest.mark.large
    def test_batches_of_any_size_are_compiled_once(self):
        problem = problems.Linear(3, batch=60)
        counter = problems.Counter(problem.model)
        sizes = np.split(np.arange(60), [10, 11, 15, 35, 37])
        batches = [(problem.images[i], problem.labels[i]) for i in sizes]
        evaluate(counter, batches[:2], epsilon=0.05)
        traces = counter.calls
        counter.calls = 0
        evaluate(counter, batches, epsilon=0.05)
        self.assertEqual(counter.calls, traces)

    def test_refuses_what_is_no_classifier(self):
        _, images, labels = self.tiny_classifier()
        flat = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten()]
        )
        single = keras.Sequential([flat, keras.layers.Dense(1)])
        cases = {
            "load_classifier": "model.keras",
            "shape .batch, num_classes": lambda x: x,
            "two classes or more": single,
        }
        for message, model in cases.items():
            with self.subTest(message):
                with self.assertRaisesRegex((ValueError, TypeError), message):
                    evaluate(model, (images, labels))

    def test_the_range_is_that_of_the_model_unless_another_is_given(self):
        wide = SATModel(
            problems.Linear(3, value_range=(0, 255)).model, value_range=(0, 255)
        )
        plain = problems.Linear(3).model
        self.assertEqual(EvaluatedModel(wide).value_range, (0, 255))
        self.assertEqual(EvaluatedModel(plain).value_range, (0.0, 1.0))
        given = EvaluatedModel(plain, value_range=[-1.0, 1.0])
        self.assertEqual(given.value_range, (-1.0, 1.0))

    def test_logits_are_those_of_inference_mode(self):
        model, images, labels = self.tiny_classifier()
        evaluated = EvaluatedModel(model)
        expected = model(images, training=False)
        self.assert_same_up_to_rounding(evaluated.logits(images), expected)
        wrong = np.where(np.arange(32) < 5, (labels + 1) % 5, labels)
        right = evaluated.is_right(images, wrong)
        self.assertAllEqual(right, np.arange(32) >= 5)

    def test_predictions_come_with_the_leads_of_the_right_classes(self):
        problem = problems.Linear(5)
        labels = problem.labels.copy()
        labels[:7] = (labels[:7] + 1) % 5
        evaluated = EvaluatedModel(problem.model)
        predicted, leads = evaluated.predictions(problem.images, labels)
        self.assertAllEqual(predicted, problem.labels)
        rows = np.arange(40)
        right = problem.logits[rows, labels]
        others = problem.logits.copy()
        others[rows, labels] = -np.inf
        self.assertAllClose(leads, right - others.max(1), atol=1e-5)
        self.assertAllEqual(leads < 0, rows < 7)

    def test_no_numbers_have_the_smallest_lead_of_all(self):
        logits = [[1.0, 2.0], [np.nan, 0.0], [np.inf, np.inf], [3.0, -np.inf]]
        evaluated = EvaluatedModel(lambda images: 0 * images + logits)
        images = np.zeros((4, 2), "float32")
        _, leads = evaluated.predictions(images, np.array([1, 1, 0, 0]))
        self.assertAllEqual(leads, [1.0, -np.inf, -np.inf, np.inf])
