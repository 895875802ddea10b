"""Several batches at once: threads and replicas give one report."""

import dataclasses
import pathlib
import threading
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import Attack
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountsGraphs(Attack):
    """Notes how many threads make a graph of it at once, and takes its time."""

    at_work = []
    _now = set()

    def perturb(self, predict, images, labels, seed):
        """See `Attack.perturb`."""
        self._now.add(threading.get_ident())
        self.at_work.append(len(self._now))
        time.sleep(0.2)
        _, gradient = self.gradient(
            lambda x: self.objective(labels, predict(x)), images
        )
        self._now.discard(threading.get_ident())
        return self.project(images + self.epsilon * gradient, images)


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

    @parameterized.parameters(False, True)
    def test_threads_make_one_graph_at_a_time(self, jit_compile):
        problem = problems.Linear(3)
        network = CompiledNetwork(problem.model, jit_compile)
        attack = CountsGraphs(epsilon=0.1)
        rows = np.arange(40, dtype="int32")
        shares = [(problem.images, problem.labels, rows)] * 4
        threads, seed = Threads(attack, network), np.array([1, 2], "int32")
        function = tf.function

        def slow_function(*args, **kwargs):
            # All threads come here at once unless they wait for each other.
            time.sleep(0.1)
            return function(*args, **kwargs)

        with (
            mock.patch.object(CountsGraphs, "at_work", []) as at_work,
            mock.patch.object(tf, "function", slow_function),
        ):
            states = threads.begin(shares, seed)
            states = threads.advance(states, seed, np.int32(1))
        self.assertEqual(at_work, [1])
        self.assertGreater(np.ptp(states[0].adversarial), 0)
        for state in states[1:]:
            self.assert_same_bits(state, states[0])

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
