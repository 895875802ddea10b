"""Headers: they tell one evaluation from another, and not run from run."""

import json

import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.evaluation import journal_header
from keras_sat.evaluation import reading
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.training.sat_model import SATModel
from tests.attacks import problems
from tests.evaluation.short_evaluations import QUICK
from tests.evaluation.short_evaluations import ResumedTestCase

pytestmark = pytest.mark.numeric


class HeaderTest(ResumedTestCase):
    @parameterized.parameters(
        ({"epsilon": 0.2}, "attacks, epsilon"),
        ({"seed": 1}, "seed"),
        ({"norm": "l2"}, "attacks"),
        ({"attacks": QUICK[:2]}, "attacks"),
        ({"model": problems.Linear(3, scale=1.1).model}, "weights"),
    )
    @pytest.mark.large
    def test_refuses_the_state_of_another_evaluation(self, options, differs):
        self.run_with_state()
        before = self.lines()
        with self.assertRaisesRegex(
            ValueError, f"`state_path` must.*has other.*{differs}"
        ):
            self.run_with_state(**options)
        self.assertEqual(self.lines(), before)

    @pytest.mark.large
    def test_refuses_other_images_than_at_the_start(self):
        self.run_with_state()
        self.problem.images = self.problem.images[::-1]
        self.problem.labels = self.problem.labels[::-1]
        with self.assertRaisesRegex(ValueError, "`dataset`|predictions"):
            self.run_with_state()

    @pytest.mark.large
    def test_a_model_that_was_used_in_between_has_the_same_weights(self):
        model = SATModel(self.problem.model)
        first = self.run_with_state(model=model)
        model.evaluate(self.problem.images, self.problem.labels, verbose=0)
        self.assertEqual(self.run_with_state(model=model), first)

    def header(self, model):
        evaluated = EvaluatedModel(model, jit_compile=False)
        dataset = reading.read(
            (self.problem.images, self.problem.labels), 16, evaluated
        )
        return journal_header.header(evaluated, dataset, QUICK, 0.1, 3, None)

    def test_the_header_names_attacks_weights_and_logits(self):
        found = self.header(self.problem.model)
        self.assertEqual(
            found["attacks"][0], {"class": "APGD"} | QUICK[0].get_config()
        )
        self.assertEqual((found["epsilon"], found["seed"]), (0.1, 3))
        self.assertAllClose(found["predictions"], self.problem.logits[:4])
        # It has to fit into a line of the journal.
        self.assertIsInstance(json.dumps(found), str)

    def test_only_other_weights_give_another_hash(self):
        hashes = [
            self.header(problems.Linear(3, scale=scale).model)["weights"]
            for scale in (1.0, 1.0, 1.1)
        ]
        self.assertEqual(hashes[0], hashes[1])
        self.assertNotEqual(hashes[0], hashes[2])

    def test_random_predictions_are_not_part_of_the_header(self):
        def noisy(images):
            logits = self.problem.model(images)
            return logits + tf.random.normal(tf.shape(logits))

        self.assertEqual(self.header(noisy)["predictions"], [])
