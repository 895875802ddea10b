"""The worst case of each image, attack by attack."""

import collections
import os
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from keras_sat.attacks import APGD
from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.attacks import parallel
from keras_sat.attacks.stages import Stage
from keras_sat.evaluation import reading
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.journal import Journal
from keras_sat.evaluation.reading import Batch
from keras_sat.evaluation.worst_case import WorstCaseSearch
from tests.attacks import problems
from tests.evaluation.short_evaluations import EPSILON
from tests.evaluation.short_evaluations import evaluate
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class WorstCaseTest(TestCase):
    def test_all_pieces_count_as_time(self):
        problem, spent, work = problems.Linear(3), [], Stage.work

        def timed(stage):
            start = time.perf_counter()
            result = work(stage)
            spent.append(time.perf_counter() - start)
            return result

        start = time.perf_counter()
        with mock.patch.object(Stage, "work", timed):
            report = evaluate(
                problem.model,
                (problem.images, problem.labels),
                [APGD(steps=30), Square(queries=200)],
                epsilon=problem.epsilons("linf")[1],
                batch_size=16,
            )
        whole = time.perf_counter() - start
        self.assertGreater(len(spent), 10)
        # Each is within a measured time; their sum is rounded.
        self.assertBetween(report.seconds, 0.999 * sum(spent), whole)

    def test_says_which_attack_broke_each_image(self):
        problem = problems.Linear(5)
        labels = problem.labels.copy()
        labels[:7] = (labels[:7] + 1) % 5
        distances = problem.distances("linf")
        epsilon = problem.epsilons("linf")[1]

        class Weak(PGD):
            """Knows only how to break every other image."""

            def perturb(self, predict, images, labels, seed):
                found = super().perturb(predict, images, labels, seed)
                knows = tf.reduce_sum(images, [1, 2, 3]) > threshold
                return tf.where(knows[:, None, None, None], found, images)

        sums = problem.images.sum((1, 2, 3))
        threshold = float(np.median(sums))
        weak = Weak(steps=20, step_size=0.02, epsilon=0.1, loss="margin")
        report = evaluate(
            problem.model,
            (problem.images, labels),
            [weak, weak, APGD(loss="margin")],
            epsilon=epsilon,
        )
        expected = np.where(distances > epsilon, 3, 2)
        expected[(expected == 2) & (sums > threshold)] = 0
        expected[:7] = -1
        self.assertAllEqual(report.outcomes, expected)
        self.assertEqual(
            report.attacks, ("Weak-20", "Weak-20 #2", "APGD-margin")
        )

    @pytest.mark.large
    def test_batches_are_attacked_one_at_a_time_and_the_last_one_too(self):
        problem = problems.Linear(3, batch=40)
        dataset = tf.data.Dataset.from_tensor_slices(
            (problem.images, problem.labels)
        ).batch(16)
        largest = []

        def model(images):
            size = tf.numpy_function(
                lambda x: largest.append(len(x)) or np.int32(0),
                [images],
                tf.int32,
            )
            with tf.control_dependencies([size]):
                return problem.model(tf.identity(images))

        report = evaluate(model, dataset, "square", epsilon=0.01)
        self.assertEqual(report.num_images, 40)
        self.assertEqual(max(largest), 16)

    def test_an_attack_that_leaves_the_ball_gains_nothing(self):
        problem = problems.Linear(3)

        class Cheat(PGD):
            def perturb(self, predict, images, labels, seed):
                return tf.zeros_like(images)

        epsilon = 0.5 * float(problem.distances("linf").min())
        report = evaluate(
            problem.model,
            (problem.images, problem.labels),
            Cheat(),
            epsilon=epsilon,
        )
        self.assertEqual(report.robust_accuracy, 1.0)

    def cases(self, batches, size, journal=None, at_piece=None):
        """Returns the worst cases of batches of a linear problem."""
        problem = problems.Linear(3)
        evaluated = EvaluatedModel(problem.model, jit_compile=False)
        evaluated.batch_size = size
        attacks = [
            PGD(epsilon=EPSILON, steps=3),
            Square(epsilon=EPSILON, queries=20),
        ]
        search = WorstCaseSearch(
            *(evaluated, attacks, 0, journal or Journal(None, {})),
            num_classes=3,
        )
        read = [
            Batch(
                i,
                problem.images[rows],
                problem.labels[rows],
                np.zeros(len(rows)),
            )
            for i, rows in enumerate(batches)
        ]
        counts = []

        def on_piece(status):
            counts.append(sum(map(len, search._stages)))
            if at_piece:
                at_piece(status)

        return list(search.worst_cases(read, on_piece)), counts

    @pytest.mark.large
    def test_neither_batches_nor_their_size_change_the_outcomes(self):
        rows = np.arange(40)
        cuts = [rows], np.split(rows, [3, 20]), np.split(rows, range(1, 40))
        every = []
        for size, batches in [
            *zip((5, 16, 40), cuts, strict=True),
            (16, cuts[2]),
        ]:
            cases, _ = self.cases(batches, size)
            self.assertEqual(
                [len(case.outcomes) for case in cases], list(map(len, batches))
            )
            every.append(np.concatenate([case.outcomes for case in cases]))
        self.assertLen(set(every[0].tolist()), 3)
        for outcomes in every[1:]:
            self.assertAllEqual(outcomes, every[0])

    def test_images_on_their_way_are_bounded(self):
        batches = np.split(np.arange(40), range(2, 40, 2))
        with mock.patch.object(parallel, "usable_cores", return_value=1):
            _, counts = self.cases(batches, 4)
        # Two stages of four, and a batch that has just been read.
        self.assertLessEqual(max(counts), 2 * (4 + 2))
        self.assertGreaterEqual(max(counts), 4)

    @pytest.mark.large
    def test_the_journal_of_a_killed_run_continues(self):
        batches = np.split(np.arange(40), 5)
        expected, _ = self.cases(batches, 8)
        path = os.path.join(self.get_temp_dir(), "journal")

        def kill(status):
            if status.images >= 32:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.cases(batches, 8, Journal(path, {}), kill)
        journal = Journal(path, {})
        self.assertFalse(journal.is_new)
        self.assertIsNone(journal.get(4, 1))
        found, _ = self.cases(batches, 8, journal)
        for one, two in zip(found, expected, strict=True):
            self.assertAllEqual(one.outcomes, two.outcomes)

    def test_the_journal_saves_attacks_unless_images_are_needed(self):
        problem = problems.Linear(3)
        evaluated = EvaluatedModel(problem.model, jit_compile=False)
        attacks = [PGD(epsilon=EPSILON), Square(epsilon=EPSILON, queries=10)]
        journal = Journal(None, {})

        def worst_cases(**options):
            counts = collections.Counter()
            dataset = reading.read(
                (problem.images, problem.labels), 16, evaluated
            )
            search = WorstCaseSearch(
                *(evaluated, attacks, 0, journal), num_classes=3
            )
            cases = search.worst_cases(
                dataset.batches,
                lambda status: counts.update([status.attack]),
                **options,
            )
            return list(cases), counts

        first, counts = worst_cases()
        self.assertEqual(set(counts), {"PGD-10", "Square"})
        adversarial = np.concatenate([case.adversarial for case in first])
        outcomes = np.concatenate([case.outcomes for case in first])
        self.assertAllEqual(problem.broken(adversarial), outcomes < 2)
        # Without the images, which are computed again if they are needed.
        second, counts = worst_cases()
        self.assertEmpty(counts)
        third, _ = worst_cases(is_complete=lambda batch: batch.index != 1)
        for one, two, three in zip(first, second, third, strict=True):
            self.assertAllEqual(one.outcomes, two.outcomes)
            self.assertAllEqual(one.outcomes, three.outcomes)
            self.assertEqual(one.seconds, two.seconds)
            self.assertAllEqual(two.adversarial, two.batch.images)
        self.assertAllEqual(first[1].adversarial, third[1].adversarial)
