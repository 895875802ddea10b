"""Which images are the worst and the luckiest, and how they are shown."""

import dataclasses
import os

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.extremes import Candidates
from keras_sat.evaluation.extremes import shown
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.worst_case import WorstCaseSearch
from tests.attacks import problems
from tests.evaluation.short_evaluations import EPSILON
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def search(journal=None, jit_compile=False, attacks=None):
    """Returns a search with two attacks, the first of which is the best."""
    problem = problems.Linear(2)
    evaluated = EvaluatedModel(problem.model, jit_compile=jit_compile)
    evaluated.batch_size = 16
    attacks = attacks or [
        PGD(epsilon=EPSILON, step_size=EPSILON, steps=2, loss="margin"),
        Square(epsilon=EPSILON, queries=20),
    ]
    return problem, WorstCaseSearch(
        *(evaluated, attacks, 0, journal or Journal(None, {})), num_classes=2
    )


def candidates(problem, found, cuts=(16, 32), count=4):
    """Returns the candidates of an evaluation in batches."""
    wrong = problem.labels.copy()
    wrong[:3] = 1 - wrong[:3]
    batches = [
        Batch(i, problem.images[rows], wrong[rows], np.zeros(len(rows)))
        for i, rows in enumerate(np.split(np.arange(40), cuts))
    ]
    chosen = Candidates(count)
    for case in found.worst_cases(batches, lambda status: None):
        chosen.add(case)
    return chosen.chosen()


class CandidatesTest(TestCase):
    def test_they_are_those_of_the_closed_form(self):
        problem, found = search()
        chosen = candidates(problem, found)
        # The best attack lowers the lead by the radius times the L1 norm of
        # the difference of the weights.
        rows = np.arange(40)
        lead = problem.logits[rows, problem.labels]
        lead = lead - problem.logits[rows, 1 - problem.labels]
        dual = np.abs(problem.weights @ [1, -1]).sum()
        left = lead - EPSILON * dual
        left[:3] = np.nan
        order = np.argsort(left)
        broken = order[left[order] < 0][:4]
        withstood = order[left[order] > 0][:4]
        self.assertEqual([one.row for one in chosen], [*broken, *withstood])
        self.assertEqual({one.attack for one in chosen[:4]}, {0})
        pictures = shown(chosen, found)
        self.assertAllClose(
            pictures["leads"], left[[*broken, *withstood]], atol=1e-5
        )
        self.assertAllEqual(pictures["withstood"], [False] * 4 + [True] * 4)
        predicted = problem.labels[pictures["rows"]]
        self.assertAllEqual(pictures["clean_predictions"], predicted)
        predicted = np.where(pictures["withstood"], predicted, 1 - predicted)
        self.assertAllEqual(pictures["adversarial_predictions"], predicted)
        levels = np.rint(255 * problem.images[pictures["rows"]])
        self.assertAllEqual(pictures["images"], levels)
        change = pictures["adversarial"].astype(float) - levels
        self.assertAllInRange(np.abs(change), 0, np.ceil(255 * EPSILON))

    @pytest.mark.large
    def test_batches_and_restarts_change_neither_choice_nor_pictures(self):
        self.use_deterministic_ops()
        path = os.path.join(self.get_temp_dir(), "journal")
        every = []
        for cuts, journal in (
            ((16, 32), Journal(path, {})),
            ((16, 32), Journal(path, {})),
            ((3, 7, 39), None),
        ):
            problem, found = search(journal)
            chosen = candidates(problem, found, cuts)
            every.append((shown(chosen, found), [one.key for one in chosen]))
        self.assert_same_bits(every[1], every[0])
        pictures, keys = every[2]
        self.assert_same_up_to_rounding(keys, every[0][1], 50)
        self.assertAllEqual(pictures["rows"], every[0][0]["rows"])

    def test_an_attack_at_random_finds_again_what_it_found(self):
        problem, found = search(attacks=[Square(epsilon=EPSILON, queries=3)])
        chosen = candidates(problem, found)
        leads = [one.key[-2] for one in chosen]
        self.assertAllClose(shown(chosen, found)["leads"], leads, atol=1e-5)
        # With the random numbers of other images it finds something else.
        others = [dataclasses.replace(one, row=99 - one.row) for one in chosen]
        different = shown(others, found)["leads"] - leads
        self.assertGreater(np.abs(different).max(), 1e-2)

    @parameterized.parameters(False, True)
    def test_the_network_is_not_compiled_again_to_show_them(self, jit_compile):
        problem, found = search(jit_compile=jit_compile)
        chosen = candidates(problem, found)
        network = found.evaluated.network
        before = network.compilations
        self.assertLen(shown(chosen, found)["rows"], 8)
        self.assertEqual(network.compilations, before)

    @pytest.mark.large
    def test_no_more_images_are_kept_than_are_shown(self):
        problem, found = search()
        chosen = candidates(problem, found, range(1, 40), count=3)
        self.assertLen(chosen, 6)
        # A view would keep the batch that it is of.
        self.assertTrue(all(one.image.base is None for one in chosen))
        problem, found = search()
        everyone = candidates(problem, found, count=100)
        # All but those that are wrong without an attack.
        self.assertLen(everyone, 37)

    def test_what_is_no_picture_is_not_shown(self):
        problem = problems.Linear(2, shape=(4, 4, 2))
        evaluated = EvaluatedModel(problem.model, jit_compile=False)
        evaluated.batch_size = 40
        found = WorstCaseSearch(
            *(evaluated, [PGD(epsilon=EPSILON)], 0, Journal(None, {})),
            num_classes=2,
        )
        chosen = candidates(problem, found)
        self.assertEqual(chosen, [])
        self.assertIsNone(shown(chosen, found))
