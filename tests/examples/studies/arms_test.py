import dataclasses
import importlib

import keras
import numpy as np
import pytest
import scaling
from absl.testing import parameterized
from elu_celu import ALPHAS
from study import setting as settings
from study import tables

import keras_sat
from tests.examples import studies
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

NAMES = sorted(path.stem for path in studies.STUDIES.glob("*.py"))


def described_arm(arm):
    """Words that are the same for two arms only if they train alike."""
    activation = arm.activation
    if isinstance(activation, keras.layers.Layer):
        config = activation.get_config()
        config.pop("name")
        activation = f"{type(activation)} {config}"
    return repr(dataclasses.replace(arm, activation=activation, reported=()))


class StudiesTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_a_study_is_complete(self, name):
        study = importlib.import_module(name).STUDY
        self.assertEqual(study.name, name)
        self.assertIn(study.reference, study.arms)
        for arm in study.quick_arms or ():
            self.assertIn(arm, study.arms)
        self.assertIn(study.reference, study.quick_arms or study.arms)
        self.assertGreaterEqual(study.seeds, 5)
        for arm in study.arms:
            # Names are parts of those of files.
            self.assertRegex(arm, r"^[\w.]+$")
        # All differ from each other: no result stands in two lines.
        described = {described_arm(arm) for arm in study.arms.values()}
        self.assertLen(described, len(study.arms))
        for arm in study.arms.values():
            arm.training_attack(settings.FASHION_MNIST)

    def test_attacks_are_of_the_radius_of_the_setting(self):
        objectives = importlib.import_module("objectives").STUDY.arms
        for setting in settings.FASHION_MNIST, settings.DIGITS:
            for arm in objectives.values():
                attack = arm.training_attack(setting)
                self.assertEqual(attack.epsilon, setting.epsilon)
            step = setting.attack(1)
            self.assertEqual(step.step_size, setting.epsilon)
            self.assertAllClose(
                3 * setting.attack(3).step_size, 2.5 * setting.epsilon
            )

    def test_elu_and_celu_are_one_at_alpha_1(self):
        arms = importlib.import_module("elu_celu").STUDY.arms
        self.assertLen(arms, 2 * len(ALPHAS))
        x = np.linspace(-4, 4, 101, dtype="float32")
        elu = arms["elu_1.0"].activation(x)
        self.assertAllClose(elu, keras_sat.activations.celu(x, 1.0), 1e-6)
        self.assertNotIn("celu_1.0", arms)
        # At -4, with alpha 2.
        self.assertAllClose(
            arms["celu_2.0"].activation(x)[0], 2 * np.expm1(-2.0), 1e-5
        )
        self.assertAllClose(
            arms["elu_2.0"].activation(x)[0], 2 * np.expm1(-4.0), 1e-5
        )


class ScalingTest(TestCase):
    def build(self, name):
        arm = scaling.STUDY.arms[name]
        return arm.build(settings.FASHION_MNIST, 10)

    def test_wider_is_the_factor_of_the_middle_convolutions(self):
        def channels(name):
            return [
                layer.filters
                for layer in self.build(name).layers
                if isinstance(layer, keras.layers.Conv2D)
                and layer.kernel_size == (3, 3)
            ]

        base = np.array(channels("silu"))
        self.assertAllEqual(channels("silu_2x_wider"), 2 * base)
        self.assertAllEqual(channels("silu_4x_wider"), 4 * base)
        self.assertLen(channels("silu_3x_deeper"), 3 * len(base))

    @pytest.mark.large
    def test_each_scaling_is_larger_and_both_activations_are_alike(self):
        weights = {
            name: self.build(name).count_params()
            for name in scaling.STUDY.arms
            if "images" not in name
        }
        for name, count in weights.items():
            if name.startswith("relu"):
                self.assertEqual(count, weights[name.replace("relu", "silu")])
        for one, two in (
            ("relu", "relu_2x_deeper"),
            ("relu_2x_deeper", "relu_3x_deeper"),
            ("relu", "relu_2x_wider"),
            ("relu_2x_wider", "relu_4x_wider"),
            ("relu_2x_deeper", "relu_all_three"),
            ("relu_efficientnet", "relu_efficientnet_scaled"),
        ):
            self.assertLess(weights[one], weights[two])
        self.assertEqual(
            self.build("silu_larger_images").input_shape, (None, 36, 36, 1)
        )


class ResultsTest(TestCase):
    """The tables of the documents are those of the CSVs beside them."""

    ROOT = studies.STUDIES.parents[1]

    @parameterized.parameters(*NAMES)
    def test_the_table_is_that_of_its_csv(self, name):
        path = self.ROOT / "docs" / "results" / f"{name}.csv"
        page = (self.ROOT / "docs" / "results.md").read_text("utf-8")
        study = importlib.import_module(name).STUDY
        self.assertIn(f"python examples/studies/{name}.py", page)
        if path.exists():
            self.assertIn(f"(results/{name}.csv)", page)
            self.assertIn(tables.markdown(tables.read(path), study), page)
        else:
            # Without rows there is no number to show.
            self.assertNotIn(f"results/{name}.csv", page)

    def test_the_setting_is_the_one_of_the_choice(self):
        path = self.ROOT / "docs" / "results" / "setting_held_out.csv"
        for row in tables.read(path):
            setting = settings.FASHION_MNIST
            self.assertEqual(row["arm"], "relu")
            self.assertEqual(int(row["images"]), setting.images)
            self.assertEqual(int(row["epochs"]), setting.epochs)
            # Neither saturated nor hopeless.
            self.assertBetween(float(row["robust_accuracy"]), 0.5, 0.75)
        arm = dataclasses.replace(scaling.STUDY.arms["relu"], network={})
        network = arm.build(settings.FASHION_MNIST, 10)
        self.assertEqual(int(row["parameters"]), network.count_params())
