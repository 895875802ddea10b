"""Evaluation against closed forms, and what it survives."""

import json
import os
import pathlib
import random
import signal
import time
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import PGD
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import Square
from keras_sat.evaluation.curves import convergence_curve
from keras_sat.evaluation.curves import robustness_curve
from keras_sat.evaluation.parallel import Replicas
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.robustness import evaluate_robustness
from keras_sat.training.sat_model import SATModel
from tests import processes
from tests.attacks import problems
from tests.test_case import TestCase

# Breaks about half of the images of the linear problems.
EPSILON = 0.03
QUICK = (APGD(steps=5), FAB(steps=5), Square(queries=30))


def evaluate(model, dataset, attacks=QUICK, **options):
    """`evaluate_robustness` without what takes long."""
    options = {"verbose": 0, "diagnose": False, "epsilon": EPSILON} | options
    return evaluate_robustness(model, dataset, attacks, **options)


def start(*arguments):
    """A process that evaluates; see `tests/programs/evaluate.py`."""
    return processes.start("evaluate", *arguments)


def finish(process):
    """What the process printed at its end."""
    output, _ = processes.finish(process, seconds=300)
    return json.loads(output.splitlines()[-1])


class EvaluationTest(TestCase):
    @parameterized.product(
        norm=("linf", "l2"),
        attack=("apgd-ce", "apgd-dlr", "apgd-t", "fab", "fab-t"),
    )
    def test_robust_accuracy_of_a_linear_model_is_the_closed_form(
        self, norm, attack
    ):
        # With more classes, the highest cross-entropy is not always an error.
        problem = problems.Linear(2 if attack == "apgd-ce" else 5)
        data = problem.images, problem.labels
        for epsilon in problem.epsilons(norm)[:2]:
            report = evaluate(
                problem.model, data, attack, epsilon=epsilon, norm=norm
            )
            expected = np.mean(problem.distances(norm) > epsilon)
            self.assertEqual(report.robust_accuracy, expected)

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

    @parameterized.parameters("standard", "rand", "square")
    def test_with_epsilon_0_the_robust_accuracy_is_the_clean_one(self, attacks):
        problem = problems.Linear(3)
        labels = problem.labels.copy()
        labels[:10] = (labels[:10] + 1) % 3
        report = evaluate(
            problem.model, (problem.images, labels), attacks, epsilon=0
        )
        self.assertEqual(report.clean_accuracy, 0.75)
        self.assertEqual(report.robust_accuracy, 0.75)
        self.assertEqual(set(report.accuracy_after.values()), {0.75})

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

    def test_one_dataset_in_several_forms_gives_one_report(self):
        problem = problems.Linear(3)
        grey = np.round(problem.images * 255).astype("uint8")
        images = grey.astype("float32") / 255
        labels = np.argmax(problem.model(images), axis=1)
        one_hot = np.eye(3, dtype="float32")[labels]

        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 2

            def __getitem__(self, i):
                return images[20 * i : 20 * i + 20], labels[
                    20 * i : 20 * i + 20
                ]

        forms = [
            (images, labels),
            (grey, labels),
            (images, one_hot),
            tf.data.Dataset.from_tensor_slices((grey, labels)).batch(20),
            Batches(),
            ((images[i : i + 20], labels[i : i + 20]) for i in (0, 20)),
        ]
        reports = [
            evaluate(problem.model, form, batch_size=20) for form in forms
        ]
        self.assertBetween(reports[0].robust_accuracy, 0.05, 0.95)
        for report in reports[1:]:
            self.assertEqual(report, reports[0])

    def test_epsilon_is_a_fraction_of_the_range(self):
        unit = problems.Linear(3)
        wide = problems.Linear(3, value_range=(0, 255))
        model = SATModel(wide.model, value_range=(0, 255))
        reports = [
            evaluate(unit.model, (unit.images, unit.labels), "apgd-ce"),
            evaluate(model, (wide.images, wide.labels), "apgd-ce"),
        ]
        self.assertBetween(reports[0].robust_accuracy, 0.05, 0.95)
        self.assertAllEqual(reports[0].outcomes, reports[1].outcomes)

    def test_attacks_keep_their_epsilon_unless_another_is_given(self):
        problem = problems.Linear(3)
        data = problem.images, problem.labels
        attack = PGD(epsilon=0.1, step_size=0.02, norm="l2")
        report = evaluate(problem.model, data, attack, epsilon=None)
        self.assertEqual((report.epsilon, report.norm), (0.1, "l2"))
        report = evaluate(problem.model, data, attack, epsilon=0.2)
        settings = report.settings["PGD-10"]
        self.assertEqual(
            (settings["epsilon"], settings["step_size"]), (0.2, 0.04)
        )
        report = evaluate(
            problem.model, data, AutoAttack(epsilon=0.01), epsilon=None
        )
        self.assertEqual(report.epsilon, 0.01)

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

    def test_with_xla_it_finds_as_much(self):
        problem = problems.Linear(3)
        epsilon = problem.epsilons("linf")[1]
        report = evaluate(
            problem.model,
            (problem.images, problem.labels),
            ["apgd-ce", "fab-t"],
            epsilon=epsilon,
            batch_size=16,
            jit_compile=True,
        )
        expected = np.mean(problem.distances("linf") > epsilon)
        self.assertEqual(report.robust_accuracy, expected)

    def test_keeps_the_adversarial_images(self):
        problem = problems.Linear(3)
        folder = self.get_temp_dir()
        report = evaluate(
            problem.model,
            (problem.images, problem.labels),
            batch_size=16,
            adversarial_dir=folder,
        )
        kept = [
            dict(np.load(os.path.join(folder, name)))
            for name in sorted(os.listdir(folder))
        ]
        kept = {k: np.concatenate([d[k] for d in kept]) for k in kept[0]}
        self.assertAllEqual(kept["images"], problem.images)
        self.assertAllEqual(kept["labels"], problem.labels)
        self.assertAllEqual(kept["outcomes"], report.outcomes)
        change = np.abs(kept["adversarial"] - problem.images).max((1, 2, 3))
        self.assertAllInRange(change, 0, EPSILON + 1e-6)
        self.assertAllInRange(kept["adversarial"], 0, 1)
        robust = report.outcomes == len(QUICK)
        self.assertAllEqual(change[robust], np.zeros(robust.sum()))
        self.assertAllEqual(problem.broken(kept["adversarial"]), ~robust)

    def test_slightly_out_of_range_images_are_clipped_and_reported(self):
        problem = problems.Linear(3)
        images = problem.images.copy()
        images[:4, 0, 0] = 1.03
        data = images, problem.labels
        report = evaluate(problem.model, data, diagnose=True)
        found = {w.name: w.found for w in report.warnings}
        self.assertRegex(found["images_out_of_range"], "4 images.*0.03")


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


class ResumeTest(TestCase):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.get_temp_dir(), "state")
        self.problem = problems.Linear(3)

    def run_with_state(self, **options):
        data = self.problem.images, self.problem.labels
        options = {"batch_size": 16, "state_path": self.path} | options
        return evaluate(
            options.pop("model", self.problem.model), data, **options
        )

    def lines(self):
        return pathlib.Path(self.path).read_bytes().splitlines(keepends=True)

    def test_cut_off_anywhere_it_continues_to_the_same_report(self):
        whole = self.run_with_state()
        content = pathlib.Path(self.path).read_bytes()
        generator = random.Random(0)
        for _ in range(3):
            length = generator.randrange(len(content))
            pathlib.Path(self.path).write_bytes(content[:length])
            self.assertEqual(self.run_with_state(), whole)
            lines = [json.loads(line) for line in self.lines()]
            self.assertLen(lines, 1 + 3 * (1 + len(QUICK)))

    def test_what_is_known_is_not_computed_again(self):
        whole = self.run_with_state()
        calls = []

        class Loud(PGD):
            def perturb(self, predict, images, labels, seed):
                calls.append(1)
                return super().perturb(predict, images, labels, seed)

        # Another attack of the same configuration.
        Loud.__name__ = "PGD"
        first = self.run_with_state(attacks=PGD(), state_path=self.path + "2")
        again = self.run_with_state(attacks=Loud(), state_path=self.path + "2")
        self.assertEqual((first, calls), (again, []))
        self.assertEqual(self.run_with_state(), whole)

    @parameterized.parameters(
        ({"epsilon": 0.2}, "attacks, epsilon"),
        ({"seed": 1}, "seed"),
        ({"norm": "l2"}, "attacks"),
        ({"attacks": QUICK[:2]}, "attacks"),
        ({"model": problems.Linear(3, scale=1.1).model}, "weights"),
    )
    def test_refuses_the_state_of_another_evaluation(self, options, differs):
        self.run_with_state()
        before = self.lines()
        with self.assertRaisesRegex(
            ValueError, f"`state_path` must.*has other.*{differs}"
        ):
            self.run_with_state(**options)
        self.assertEqual(self.lines(), before)

    def test_refuses_other_images_than_at_the_start(self):
        self.run_with_state()
        self.problem.images = self.problem.images[::-1]
        self.problem.labels = self.problem.labels[::-1]
        with self.assertRaisesRegex(ValueError, "`dataset`|predictions"):
            self.run_with_state()

    def test_leaves_a_file_alone_that_is_no_state(self):
        for content in (b"precious", b'{"a": 1}\n', b"\x00\xff\n", b'{"f'):
            pathlib.Path(self.path).write_bytes(content)
            if content == b'{"f':
                self.run_with_state()
                continue
            with self.assertRaisesRegex(ValueError, "an evaluation wrote"):
                self.run_with_state()
            self.assertEqual(pathlib.Path(self.path).read_bytes(), content)

    def test_refuses_a_state_path_that_cannot_be_written(self):
        for path in ("/proc/none/state", self.get_temp_dir()):
            with self.assertRaisesRegex(
                ValueError, "`state_path` must be a file that can be written"
            ):
                self.run_with_state(state_path=path)

    def test_a_model_that_was_used_in_between_has_the_same_weights(self):
        model = SATModel(self.problem.model)
        first = self.run_with_state(model=model)
        model.evaluate(self.problem.images, self.problem.labels, verbose=0)
        self.assertEqual(self.run_with_state(model=model), first)

    def test_never_mixes_adversarial_images_of_two_evaluations(self):
        folder = os.path.join(self.get_temp_dir(), "kept")
        self.run_with_state(adversarial_dir=folder)
        for state in (None, self.path + "2"):
            with self.assertRaisesRegex(
                ValueError, "`adversarial_dir` must hold no images of another"
            ):
                self.run_with_state(adversarial_dir=folder, state_path=state)
        with self.assertRaisesRegex(ValueError, "has other adversarial_dir"):
            self.run_with_state(adversarial_dir=folder + "2")

    def test_keeps_all_adversarial_images_across_a_cut(self):
        folder = os.path.join(self.get_temp_dir(), "kept")
        self.run_with_state(adversarial_dir=folder)
        kept = {n: dict(np.load(f"{folder}/{n}")) for n in os.listdir(folder)}
        os.remove(f"{folder}/batch_000001.npz")
        self.run_with_state(adversarial_dir=folder)
        for name, arrays in kept.items():
            again = np.load(f"{folder}/{name}")
            for key, array in arrays.items():
                self.assertAllEqual(again[key], array)


class ProcessTest(TestCase):
    @pytest.mark.large
    def test_killed_three_times_it_ends_with_the_same_report(self):
        folder = pathlib.Path(self.get_temp_dir())
        whole = ["--report_dir", str(folder / "whole")]
        state = ["--state_path", str(folder / "state")]
        state += ["--report_dir", str(folder / "resumed")]
        finish(start(*whole))
        generator = random.Random(1)
        for kill in range(3):
            process = start(*state)
            # Once it goes on, it may be anywhere when it is killed.
            goal = 2 + 6 * kill
            while process.poll() is None and self._lines(folder) < goal:
                time.sleep(0.01)
            time.sleep(generator.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assertFalse((folder / "resumed").exists())
        finish(start(*state))
        self.assertEqual(
            RobustnessReport.load(folder / "whole"),
            RobustnessReport.load(folder / "resumed"),
        )

    def _lines(self, folder):
        path = folder / "state"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    @pytest.mark.large
    def test_two_replicas_give_the_report_of_one(self):
        folder = pathlib.Path(self.get_temp_dir())
        for jit in ([], ["--jit_compile"]):
            for devices in ("1", "2"):
                target = folder / f"{devices}{len(jit)}"
                options = ["--images", "90", "--devices", devices, *jit]
                finish(start(*options, "--quick", "--report_dir", str(target)))
            one, two = (
                RobustnessReport.load(folder / f"{n}{len(jit)}") for n in "12"
            )
            self.assertAllEqual(one.outcomes, two.outcomes)

    @parameterized.parameters("linf", "l2")
    def test_threads_give_the_report_of_one(self, norm):
        model, images, labels = self.tiny_classifier()
        attacks = [
            APGD(steps=10, loss="dlr", target_classes=2),
            FAB(steps=10, target_classes=2),
            Square(queries=50),
        ]
        reports = []
        for cores in 1, 3:
            with mock.patch.object(os, "cpu_count", return_value=cores):
                self.assertEqual(Replicas.count(), cores)
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
        with mock.patch.object(os, "cpu_count", return_value=64):
            self.assertEqual(Replicas.count(), 4)

    @pytest.mark.large
    def test_memory_does_not_grow_with_the_number_of_images(self):
        options = ["--quick", "--batch_size", "100", "--shape", "8", "8", "3"]
        few, many = (
            finish(start(*options, "--images", count))["peak"]
            for count in ("1000", "10000")
        )
        self.assertLess(many, 1.1 * few)


class RadiusTest(TestCase):
    """One rule for `epsilon` at every entrance."""

    def enter(self, entrance, epsilon, norm):
        """Gives the radius to an entrance, with a model that takes no time."""
        if entrance == "AutoAttack":
            return AutoAttack(epsilon=epsilon, norm=norm)
        if entrance in ("PGD", "APGD", "FAB", "Square"):
            attacks = {"PGD": PGD, "APGD": APGD, "FAB": FAB, "Square": Square}
            return attacks[entrance](epsilon=epsilon, norm=norm)
        if entrance == "resized":
            return PGD(norm="l2", epsilon=2.0).resized(epsilon, norm)
        if entrance == "scaled":
            return PGD(epsilon=0.5, norm=norm).scaled(epsilon=2 * epsilon)
        images = np.full((2, 1, 1, 1), 0.5, "float32")
        data = images, np.zeros(2, "int32")
        options = {"norm": norm, "verbose": 0}
        if entrance == "convergence_curve":
            options["epsilon"] = epsilon
            return convergence_curve(self.model, data, (1, 2), **options)
        if entrance == "robustness_curve":
            attack = Square(queries=1)
            return robustness_curve(
                self.model, data, [epsilon], attack, **options
            )
        attacks = {
            "name": "square",
            "attacks": [PGD(), Square(norm="l2", epsilon=2.0)],
            "ensemble": AutoAttack(norm="l2", epsilon=2.0),
        }[entrance]
        return evaluate(self.model, data, attacks, epsilon=epsilon, norm=norm)

    def model(self, images):
        """Class 0 up to the middle of the range."""
        x = images[:, 0, 0, 0] - 0.5001
        return tf.stack([0 * x, x, 0 * x - 1, 0 * x - 2], 1)

    ENTRANCES = (
        *("PGD", "APGD", "FAB", "Square", "AutoAttack", "resized", "scaled"),
        *("name", "attacks", "ensemble", "robustness_curve"),
        "convergence_curve",
    )

    @parameterized.parameters(*ENTRANCES)
    def test_any_l2_radius_and_the_whole_range_in_linf(self, entrance):
        for norm, epsilon in (("linf", 1.0), ("linf", 1), ("l2", 3.0)):
            self.enter(entrance, epsilon, norm)

    @parameterized.parameters(*ENTRANCES)
    def test_what_is_no_radius_is_refused(self, entrance):
        cases = (
            ("linf", 1.01, ValueError, "at most 1.*linf.*mean 1.01 / 255"),
            ("linf", 8, ValueError, "at most 1, the whole of.*mean 8 / 255"),
            ("linf", -0.1, ValueError, "greater than 0|at least 0"),
            ("l2", -0.1, ValueError, "greater than 0|at least 0"),
            ("l2", float("inf"), ValueError, "finite"),
            ("linf", float("nan"), ValueError, "finite"),
            ("l2", "8", TypeError, "a number"),
            ("linf", [0.1], TypeError, "a number"),
        )
        for norm, epsilon, error, message in cases:
            if entrance == "scaled" and error is TypeError:
                continue
            with self.subTest(f"{norm} {epsilon}"):
                message = f"`epsilons?` must be ({message})"
                with self.assertRaisesRegex(error, message):
                    self.enter(entrance, epsilon, norm)

    def test_a_large_l2_radius_by_name(self):
        problem = problems.Linear(5)
        data = problem.images, problem.labels
        report = evaluate(
            problem.model, data, "standard", norm="l2", epsilon=3.0
        )
        self.assertEqual((report.norm, report.epsilon), ("l2", 3.0))
        self.assertEqual(report.robust_accuracy, 0)
        curve = robustness_curve(
            problem.model, data, [0, 3.0], "standard", "l2", verbose=0
        )
        self.assertEqual(curve, {0.0: 1.0, 3.0: 0.0})

    def test_an_attack_of_another_norm_gets_a_radius_of_the_new_one(self):
        problem = problems.Linear(5)
        data = problem.images, problem.labels
        attack = PGD(norm="l2", epsilon=3.0, step_size=1.5)
        report = evaluate(problem.model, data, attack, norm="linf")
        settings = report.settings["PGD-10"]
        self.assertEqual(
            (settings["norm"], settings["epsilon"], settings["step_size"]),
            ("linf", EPSILON, EPSILON / 2),
        )

    def test_no_attack_is_radius_0_where_that_is_said(self):
        for entrance in ("name", "robustness_curve", "scaled"):
            self.enter(entrance, 0, "linf")
        for entrance in ("PGD", "AutoAttack", "resized", "convergence_curve"):
            with self.assertRaisesRegex(
                ValueError, "`epsilon` must be greater"
            ):
                self.enter(entrance, 0, "linf")


class MissingGradientTest(TestCase):
    def setUp(self):
        super().setUp()
        self.problem = problems.Linear(5)
        self.labels = np.argmax(self.model(self.problem.images), 1)

    def model(self, images):
        """The linear model of rounded images."""
        return self.problem.model(tf.round(16 * images) / 16)

    def compiled_model(self, images):
        """One that TensorFlow knows no gradient of at all."""

        @tf.function(autograph=False)
        def quantised(images):
            numbers = tf.quantization.quantize(images, 0.0, 1.0, tf.qint8)
            return tf.quantization.dequantize(*numbers)

        return self.problem.model(quantised(images))

    @parameterized.parameters("model", "compiled_model")
    def test_square_finds_what_it_finds_and_the_report_says_why(self, model):
        data = self.problem.images, self.labels
        with self.assertLogs("absl", "WARNING") as logs:
            report = evaluate(
                getattr(self, model),
                data,
                (APGD(steps=3), FAB(steps=3), Square(queries=200)),
                epsilon=2 * self.problem.epsilons("linf")[2],
                diagnose=True,
            )
        said = "".join(logs.output)
        for label in ("APGD-CE", "FAB-T"):
            self.assertIn(f"{label} takes the gradient", said)
        self.assertGreater(np.sum(report.outcomes == 2), 15)
        found = {warning.name: warning.found for warning in report.warnings}
        self.assertIn("no gradient path", found["zero_gradients"])
        self.assertIn("black_box_beats_white_box", found)

    def test_a_single_gradient_attack_is_refused(self):
        data = self.problem.images, self.labels
        for attack in (PGD(), "apgd-t", "fab-t"):
            with self.assertRaisesRegex(ValueError, "must be differentiable"):
                evaluate(self.model, data, attack)
            with self.assertRaisesRegex(ValueError, "must be differentiable"):
                radii = [0.01, 0.02]
                robustness_curve(self.model, data, radii, attack, verbose=0)


class RefusalTest(TestCase):
    @parameterized.parameters(
        ("pgd", "`attacks` must be one of.*'apgd-ce'.*'standard'.*'pgd'"),
        (["apgd-ce", "cw"], "`attacks` must be one of.*'square'.*'cw'"),
        ([], "`attacks` must not be empty"),
        (3, "`attacks` must be a name"),
        (PGD(targeted=True), "`attacks` must not be targeted"),
    )
    def test_refuses_unknown_attacks(self, attacks, message):
        model, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex((ValueError, TypeError), message):
            evaluate(model, (images, labels), attacks, epsilon=0.1)

    @parameterized.parameters(
        ({"epsilon": 8}, "Did you mean 8 / 255"),
        ({"epsilon": -0.1}, "`epsilon` must be at least 0"),
        ({"epsilon": "8"}, "`epsilon` must be a number"),
        ({"norm": "l1"}, "`norm` must be one of"),
        ({"seed": -1}, "`seed`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"jit_compile": "yes"}, "`jit_compile`"),
        ({"value_range": (1, 0)}, "`value_range`"),
        ({"adversarial_dir": "/proc/none"}, "`adversarial_dir` must be"),
        (
            {"attacks": [PGD(epsilon=0.1), PGD()], "epsilon": None},
            "`attacks` must have one `epsilon`",
        ),
    )
    def test_refuses_bad_arguments(self, options, message):
        model, images, labels = self.tiny_classifier()
        with self.assertRaisesRegex((ValueError, TypeError), message):
            evaluate(model, (images, labels), **options)

    def test_refuses_bad_data(self):
        model, images, labels = self.tiny_classifier()
        cases = {
            "without labels": [images],
            "batches without labels": tf.data.Dataset.from_tensors(images),
            "with weights": [(images, labels, labels)],
            "as many labels": (images, labels[1:]),
            "not be empty": [],
            "Undo the normalization": (4 * images - 2, labels),
            "Divide the images by 255": (255 * images, labels),
            "class ids from 5 to 5": (images, 0 * labels + 5),
            "class ids from 6 to 6": [
                (images, labels),
                (images, 0 * labels + 6),
            ],
            "one probability for each": (images, np.eye(7)[labels]),
            "`labels` must lie": (images, labels - 10),
        }
        for message, data in cases.items():
            with self.subTest(message):
                with self.assertRaisesRegex((ValueError, TypeError), message):
                    evaluate(model, data)

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


if __name__ == "__main__":
    tf.test.main()
