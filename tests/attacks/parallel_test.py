"""Several batches at once: threads and replicas give one report."""

import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import Square
from keras_sat.attacks import parallel
from keras_sat.attacks.network import CompiledNetwork
from keras_sat.attacks.parallel import Replicas
from keras_sat.attacks.parallel import Threads
from keras_sat.attacks.parallel import in_parallel
from keras_sat.attacks.scalable import Scalable
from keras_sat.evaluation.report import RobustnessReport
from tests.attacks import problems
from tests.evaluation.short_evaluations import evaluate
from tests.evaluation.short_evaluations import finish
from tests.evaluation.short_evaluations import start
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class ParallelTest(TestCase):
    def threads(self, model):
        """Returns the `Threads` of an attack on a model."""
        return in_parallel(PGD(), CompiledNetwork(model, jit_compile=False))

    @pytest.mark.large
    def test_two_replicas_give_the_report_of_one(self):
        folder = pathlib.Path(self.get_temp_dir())
        for jit in ([], ["--jit_compile"]):
            for devices in ("1", "2"):
                target = folder / f"{devices}{len(jit)}"
                options = ["--images", "50", "--devices", devices, *jit]
                finish(start(*options, "--quick", "--report_dir", str(target)))
            one, two = (
                RobustnessReport.load(folder / f"{n}{len(jit)}") for n in "12"
            )
            self.assertAllEqual(one.outcomes, two.outcomes)

    def test_replicas_take_attacks_of_any_size(self):
        problem = problems.Linear(3)
        attack = Scalable(PGD(epsilon=1, step_size=1, steps=1))
        network = CompiledNetwork(problem.model, jit_compile=False)
        strategy = tf.distribute.OneDeviceStrategy("cpu:0")
        factors = {"epsilon": np.float32(0.1), "steps": np.int32(3)}
        seed = np.array([1, 2], "int32"), factors | {"step_size": 0.05}
        share = problem.images, problem.labels, np.arange(40, dtype="int32")
        states = []
        for run in (
            Threads(attack, network),
            Replicas(attack, network, strategy),
        ):
            begun = run.begin([share], seed)
            states += run.advance(begun, seed, np.int32(9))
        moved = np.abs(states[0].adversarial - problem.images).max((1, 2, 3))
        self.assertAllClose(moved, np.full(40, 0.1), atol=1e-6)
        self.assert_same_bits(*(state.adversarial for state in states))

    @parameterized.parameters("linf", "l2")
    @pytest.mark.large
    def test_threads_give_the_report_of_one(self, norm):
        model, images, labels = self.tiny_classifier()
        attacks = [
            APGD(steps=10, loss="dlr", target_classes=2),
            FAB(steps=10, target_classes=2),
            Square(queries=50),
        ]
        reports = []
        for cores in 1, 3:
            with mock.patch.object(
                parallel, "usable_cores", return_value=cores
            ):
                self.assertEqual(self.threads(model).count, cores)
                report = evaluate(
                    *(model, (images, labels), attacks),
                    epsilon=0.03 if norm == "linf" else 0.6,
                    norm=norm,
                    batch_size=5,
                )
                reports.append(report)
        self.assertLess(reports[0].robust_accuracy, 1)
        self.assertGreater(reports[0].robust_accuracy, 0)
        self.assertAllEqual(reports[0].outcomes, reports[1].outcomes)

    def test_no_more_threads_than_memory_allows(self):
        with mock.patch.object(parallel, "usable_cores", return_value=64):
            model, _, _ = self.tiny_classifier()
            self.assertEqual(self.threads(model).count, 4)

    def test_several_batches_get_what_each_gets_alone(self):
        problem = problems.Linear(3)
        attack = PGD(epsilon=0.05, step_size=0.02, steps=3)
        network = CompiledNetwork(problem.model, jit_compile=False)
        run = in_parallel(attack, network, tf.distribute.get_strategy())
        self.assertIsInstance(run, Threads)
        seed = np.array([1, 2], "int32")
        parts = np.split(np.arange(40, dtype="int32"), [10, 30])
        shares = [
            (problem.images[part], problem.labels[part], part) for part in parts
        ]
        states = run.begin(shares, seed)
        together = run.advance(states, seed, np.int32(9))
        for share, found in zip(shares, together, strict=True):
            alone = run.begin([share], seed)
            alone = run.advance(alone, seed, np.int32(9))[0]
            self.assert_same_bits(found, alone)
            self.assertAllEqual(found.rows, share[-1])
            self.assertTrue(np.all(found.done))
            moved = np.any(found.adversarial != share[0], axis=(1, 2, 3))
            self.assertAllEqual(moved, np.ones(len(share[-1]), bool))
        self.assertEqual(run.begin([], seed), [])
        self.assertEqual(run.advance([], seed, np.int32(9)), [])
