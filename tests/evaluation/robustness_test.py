"""Evaluation against closed forms, at all radii, and what it refuses."""

import pathlib

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
from keras_sat.training.sat_model import SATModel
from tests.attacks import problems
from tests.evaluation.short_evaluations import EPSILON
from tests.evaluation.short_evaluations import evaluate
from tests.evaluation.short_evaluations import finish
from tests.evaluation.short_evaluations import start
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


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

    @pytest.mark.large
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

    @pytest.mark.large
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


class PredictionsTest(TestCase):
    @pytest.mark.large
    def test_they_are_those_of_the_images_that_attacks_found(self):
        problem = problems.Linear(5)
        labels = problem.labels.copy()
        labels[:7] = (labels[:7] + 1) % 5
        folder = pathlib.Path(self.get_temp_dir())
        report = evaluate(
            problem.model,
            (problem.images, labels),
            adversarial_dir=folder,
            batch_size=16,
        )
        self.assertAllEqual(report.clean_predictions, problem.labels)
        found = []
        for path in sorted(folder.glob("*.npz")):
            with np.load(path) as arrays:
                found.append(arrays["adversarial"])
        logits = problem.model(np.concatenate(found))
        self.assertAllEqual(
            report.adversarial_predictions, np.argmax(logits, axis=1)
        )
        right = report.adversarial_predictions == labels
        self.assertAllEqual(right, report.outcomes == len(report.attacks))
        self.assertEqual(np.trace(report.confusion), np.sum(right))
        self.assertEqual(np.sum(report.confusion), 40)

    def test_the_fingerprint_is_that_of_the_images(self):
        problem, wide = (
            problems.Linear(3, value_range=(0, high)) for high in (1, 255)
        )
        levels = np.rint(255 * problem.images).astype("uint8")
        labels = problem.labels
        prints = [
            evaluate(*each, attacks=PGD(steps=1), **options).fingerprint
            for each, options in (
                ((problem.model, (levels, labels)), {}),
                ((problem.model, (levels, labels)), {"batch_size": 7}),
                (
                    (wide.model, (levels.astype("float32"), labels)),
                    {"value_range": (0, 255)},
                ),
                ((problem.model, (levels[::-1], labels[::-1])), {}),
            )
        ]
        self.assertEqual(prints[1:3], prints[:1] * 2)
        self.assertNotEqual(prints[3], prints[0])

    @pytest.mark.large
    def test_the_worst_and_the_luckiest_images_come_with_diagnoses(self):
        problem = problems.Linear(5)
        data = problem.images, problem.labels
        attacks = [APGD(steps=5, loss="margin"), Square(queries=20)]
        report = evaluate(problem.model, data, attacks, diagnose=True)
        shown = report.extremes
        outcomes = report.outcomes[shown["rows"]]
        self.assertAllEqual(outcomes == 2, shown["withstood"])
        self.assertAllEqual(outcomes[:8], shown["attacks"][:8])
        for name in ("clean_predictions", "adversarial_predictions"):
            self.assertAllEqual(
                shown[name], getattr(report, name)[shown["rows"]]
            )
        report = evaluate(problem.model, data, attacks)
        self.assertIsNone(report.extremes)


class ClassNamesTest(TestCase):
    def report(self, names=None, **options):
        """Returns the report of a dataset with the names of three classes."""
        problem = problems.Linear(3, batch=4)
        dataset = tf.data.Dataset.from_tensors((problem.images, problem.labels))
        if names is not None:
            dataset.class_names = names
        return evaluate(problem.model, dataset, attacks=PGD(steps=1), **options)

    @pytest.mark.large
    def test_they_are_those_of_the_dataset_or_those_given(self):
        names = ("cat", "dog", "cow")
        self.assertEqual(self.report(list(names)).class_names, names)
        self.assertEqual(self.report(class_names=names).class_names, names)
        given = self.report(list("abc"), class_names=list(names))
        self.assertEqual(given.class_names, names)
        self.assertIsNone(self.report().class_names)
        # What this attribute is elsewhere is not known.
        self.assertIsNone(self.report(lambda: names).class_names)
        self.assertIsNone(self.report([1, 2, 3]).class_names)

    @parameterized.parameters(
        ("abc", TypeError, "be a sequence of str"),
        (["a", "b"], ValueError, "have one entry for each of the 3 classes"),
        (["a", "b", "a"], ValueError, "differ from each other"),
    )
    def test_names_that_cannot_be_are_refused(self, names, error, message):
        with self.assertRaisesRegex(error, f"`class_names` must {message}"):
            self.report(class_names=names)


class ProcessTest(TestCase):
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
    @pytest.mark.large
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


if __name__ == "__main__":
    tf.test.main()
