"""Tests of loading PyTorch's weights into models."""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import safetensors.numpy
from absl.testing import parameterized

import keras_sat
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.torch_weights import definitions
from tests.torch_weights import torch_files

pytestmark = pytest.mark.numeric

# The definition whose weights are fewest.
SMALLEST = "preact_resnet18"


class CheckpointsTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "weights.pt"

    def load(self, model, content, **options):
        """Loads a structure that is written as PyTorch would write it."""
        torch_files.save(self.path, content)
        return keras_sat.load_torch_checkpoint(model, self.path, **options)

    def assert_refused(self, model, content, message, **options):
        """Checks for an error, and that the model is as before."""
        before = [np.array(weight) for weight in model.weights]
        with self.assertRaisesRegex(ValueError, message):
            self.load(model, content, **options)
        self.assert_same_bits([np.array(w) for w in model.weights], before)

    def assert_smallest_refuses(self, weights, message):
        """Checks that the smallest definition refuses weights."""
        model = definitions.BUILDERS[SMALLEST]()
        self.assert_refused(model, weights, message)


class DefinitionsTest(CheckpointsTestCase):
    def check(self, name, dtype="float32"):
        """Compares logits and input gradients with those of PyTorch."""
        keras.config.set_dtype_policy(dtype)
        expected = definitions.reference(name)
        model = definitions.BUILDERS[name]()
        path = self.folder / "weights.safetensors"
        safetensors.numpy.save_file(definitions.state_dict(name), path)
        ignored = keras_sat.load_torch_checkpoint(model, path)
        self.assertEqual(
            set(ignored), {key for key in expected["shapes"] if "num_b" in key}
        )
        logits, gradients = definitions.logits_and_gradients(
            model, definitions.images(name)
        )
        scale = np.std(expected["logits"])
        error = np.abs(logits - expected["logits"]).max()
        self.assertLess(error, 1e-4 * scale)
        norms = np.linalg.norm(gradients.reshape(4, -1), axis=1)
        self.assertAllClose(norms, expected["gradient_norms"], rtol=1e-3)
        return gradients[:, 0, 0], np.array(expected["gradient_corner"])

    def check_twice(self, name):
        """Checks in float32 and, where ReLU has kinks, also in float64.

        Of millions of ReLUs in float32, one or another has its input on the
        other side of 0 than PyTorch's, which changes single pixels of the
        gradient.
        """
        corner, expected = self.check(name)
        if definitions.ACTIVATIONS[name] == "relu":
            corner, expected = self.check(name, "float64")
        size = np.abs(expected).max()
        self.assertAllClose(corner, expected, rtol=0, atol=1e-3 * size)

    @parameterized.parameters(
        *sorted(set(definitions.BUILDERS) - definitions.LARGE)
    )
    def test_a_public_definition_computes_the_same(self, name):
        self.check_twice(name)

    @parameterized.parameters(*sorted(definitions.LARGE))
    @pytest.mark.large
    def test_a_wide_public_definition_computes_the_same(self, name):
        self.check_twice(name)


class RealNetworkTest(CheckpointsTestCase):
    def write(self, kind):
        """Writes the real network in one of the formats; returns the path."""
        if kind == "old":
            self.path.write_bytes(torch_files.real_old())
            return self.path
        if kind == "safetensors":
            path = self.folder / "weights.safetensors"
            safetensors.numpy.save_file(torch_files.real_tensors(), path)
            return path
        return torch_files.write_zip(self.path, torch_files.real_zip(kind))

    @parameterized.product(
        kind=("old", "safetensors", "wrapped", "mixed"), permuted=(False, True)
    )
    def test_its_logits_are_those_of_pytorch(self, kind, permuted):
        with np.load(FIXTURES / "fashion_mnist_convex.npz") as file:
            images = file["images"].astype("float32") / 255
            expected, labels = file["logits"], file["labels"]
        model = torch_files.real_network(permuted)
        ignored = keras_sat.load_torch_checkpoint(model, self.write(kind))
        self.assertEqual(ignored, [])
        logits = model(images)
        # Two kernels of the mixed file have 16 bits.
        error = 0.05 if kind == "mixed" else 2e-5
        self.assertAllClose(logits, expected, rtol=0, atol=error)
        self.assertAllEqual(np.argmax(logits, 1), labels)

    def test_half_precision_is_as_exact_as_it_can_be(self):
        model = torch_files.real_network()
        keras_sat.load_torch_checkpoint(model, self.write("mixed"))
        expected = torch_files.real_tensors()
        for index, name, dtype in (
            (0, "0.weight", "float16"),
            (2, "2.weight", "float32"),
        ):
            kernel = np.array(model.weights[index])
            rounded = expected[name].astype(dtype).astype("float32")
            self.assert_same_bits(kernel, rounded.transpose(2, 3, 1, 0))

    def test_a_file_is_read_under_any_name(self):
        path = self.write("wrapped")
        for name in ("a.pth", "a.bin", "a.ckpt", "a"):
            copy = shutil.copy(path, self.folder / name)
            model = torch_files.real_network()
            self.assertEqual(keras_sat.load_torch_checkpoint(model, copy), [])


class WrapperTest(CheckpointsTestCase):
    def setUp(self):
        super().setUp()
        self.model = torch_files.real_network()
        self.tensors = torch_files.real_tensors()

    def first(self):
        """The first bias of the model."""
        return np.array(self.model.weights[1])

    def others(self):
        """Weights of the same shapes that differ."""
        return {name: 2 * array for name, array in self.tensors.items()}

    @parameterized.parameters(
        "state_dict",
        "model",
        "model_state_dict",
        "ema",
        "unaveraged_net",
        "net",
    )
    def test_any_dictionary_around_them_is_found(self, key):
        self.assertEqual(self.load(self.model, {key: self.tensors}), [])
        self.assertAllEqual(self.first(), self.tensors["0.bias"])

    def test_lists_of_state_dicts_are_searched(self):
        momentum = {"state": {0: {"momentum": self.tensors["0.weight"]}}}
        ignored = self.load(self.model, [momentum, self.tensors])
        self.assertEqual(ignored, ["0.state.0.momentum"])

    def test_moving_averages_are_taken_before_others(self):
        content = {"state_dict": self.others(), "ema": self.tensors}
        ignored = self.load(self.model, content)
        self.assertAllEqual(self.first(), self.tensors["0.bias"])
        self.assertEqual(
            ignored, sorted(f"state_dict.{name}" for name in self.tensors)
        )
        self.load(self.model, content, entry="state_dict")
        self.assertAllEqual(self.first(), 2 * self.tensors["0.bias"])

    def test_two_that_differ_are_refused_until_one_is_named(self):
        content = {"last": self.tensors, "best": self.others()}
        self.assert_refused(
            self.model,
            content,
            r"`entry` must be one of \['best', 'last'\], which all fit.*=None",
        )
        self.load(self.model, content, entry="last")
        self.assertAllEqual(self.first(), self.tensors["0.bias"])
        self.assert_refused(
            self.model, content, "`entry` must be one of.*'lst'", entry="lst"
        )

    def test_two_that_are_equal_are_one(self):
        self.load(self.model, {"a": self.tensors, "b": dict(self.tensors)})
        self.assertAllEqual(self.first(), self.tensors["0.bias"])

    def test_the_network_inside_an_attacker_is_ignored_if_equal(self):
        model = definitions.BUILDERS["preact_resnet18_v2"]()
        weights = definitions.state_dict("preact_resnet18_v2")
        statistics = {"new_mean": [0.4, 0.5, 0.6], "new_std": [0.1, 0.2, 0.3]}
        content = {}
        for prefix, normalizer in (
            ("module.model.", "module.normalizer."),
            ("module.attacker.model.", "module.attacker.normalize."),
        ):
            content |= {prefix + key: x for key, x in weights.items()}
            content |= {
                normalizer + key: np.array(x, "float32").reshape(3, 1, 1)
                for key, x in statistics.items()
            }
        ignored = self.load(model, {"model": content, "epoch": 5})
        self.assertLen(ignored, 2 + len(weights) + 17)
        layer = model.get_layer("standardize")
        self.assertAllClose(layer.mean, statistics["new_mean"])
        self.assertAllClose(layer.std, statistics["new_std"])
        content["module.attacker.model.linear.bias"] = np.ones(10, "float32")
        self.assert_refused(
            model,
            content,
            "Differences: 1.*: module.attacker.model.linear.bias",
        )


class RefusedTest(CheckpointsTestCase):
    def setUp(self):
        super().setUp()
        self.model = torch_files.real_network()
        self.tensors = torch_files.real_tensors()

    def test_another_network_is_refused_with_its_family(self):
        model = keras_sat.wide_resnet(10, 1, "relu")
        self.assert_refused(
            model,
            definitions.state_dict(SMALLEST),
            "`path` must hold the weights of a network like `model`.*"
            "Differences: .*Missing: .*Left over: .* and .* more.*"
            "The nearest family of the file: pre-activation ResNet.",
        )

    def test_a_missing_tensor_is_named(self):
        weights = definitions.state_dict(SMALLEST)
        del weights["layer2.0.bn2.running_var"]
        self.assert_smallest_refuses(
            weights,
            "Differences: 1, .* Missing: layer2.0.bn2.running_var. The nearest",
        )

    @parameterized.named_parameters(
        (
            "an_unknown_tensor",
            *(
                "layer5.weight",
                3,
                "Differences: 1,.* Left over: layer5.weight. ",
            ),
        ),
        (
            "another_shape",
            *("linear.bias", 100),
            r"Not fitting: linear.bias has the shape \(100,\), which does not "
            r"fit logits/bias \(10,\).",
        ),
    )
    def test_is_named(self, name, size, message):
        weights = definitions.state_dict(SMALLEST)
        weights[name] = np.ones(size, "float32")
        self.assert_smallest_refuses(weights, message)

    @parameterized.parameters(np.nan, np.inf)
    def test_weights_that_are_not_finite_are_named(self, value):
        self.tensors["5.bias"][7] = value
        self.assert_refused(
            self.model,
            {"state_dict": self.tensors},
            "`path` must hold finite weights.*5.bias has NaN or inf",
        )

    def test_numbers_that_are_too_large_are_named(self):
        self.tensors["5.bias"] = np.full(100, 1e300)
        self.assert_refused(self.model, self.tensors, "5.bias has NaN or inf")

    def test_statistics_without_a_place_are_named(self):
        model = keras_sat.preact_resnet(
            18, "relu", final_normalization=False, shortcut="input"
        )
        weights = definitions.state_dict(SMALLEST)
        weights["mu"] = np.array([0.5, 0.4, 0.3], "float32")
        weights["sigma"] = np.array([0.3, 0.2, 0.1], "float32")
        self.assert_refused(
            model,
            weights,
            r"mu has no counterpart; build the model with normalization="
            r"\(\(0.5, 0.4, 0.3\), \(0.3, 0.2, 0.1\)\)",
        )

    def test_activations_with_weights_have_no_counterpart(self):
        model = keras_sat.preact_resnet(
            18, "smoothrelu", final_normalization=False, shortcut="input"
        )
        self.assert_refused(
            model, definitions.state_dict(SMALLEST), "Differences.*Missing"
        )

    def test_files_without_weights_are_refused(self):
        for content in ({}, [1, 2.0], {"epoch": 3}):
            self.assert_refused(
                self.model, content, "It holds no named tensors"
            )
        self.assert_refused(
            self.model, {"best_accuracy": np.float32([0.5])}, "Missing: "
        )

    def test_tensors_that_leave_their_storage_are_refused(self):
        storage = np.zeros(4, "float32")
        wrong = torch_files.View(storage, 0, (16,), (1,))
        self.assert_refused(
            self.model,
            {**self.tensors, "0.bias": wrong},
            "`path` must be a complete file.*leaves its storage",
        )

    def test_what_is_no_model_is_refused(self):
        trained = keras_sat.SATModel(torch_files.real_network())
        torch_files.save(self.path, self.tensors)
        for model in (trained, "model"):
            with self.assertRaisesRegex(TypeError, "`model`"):
                keras_sat.load_torch_checkpoint(model, self.path)
        with self.assertRaisesRegex(TypeError, "`path` must be a path"):
            keras_sat.load_torch_checkpoint(self.model, None)


class AutoAttackTest(CheckpointsTestCase):
    @parameterized.parameters(
        # Robust accuracy by the official AutoAttack, version "standard", seed
        # 0, on the same images. Two seeds of Square differ by a point at L2.
        ("linf", 0.1, 0.6797, 1 / 512),
        ("l2", 1.5, 0.0625, 0.015),
    )
    @pytest.mark.large
    def test_the_real_network_withstands_as_officially_measured(
        self, norm, epsilon, expected, tolerance
    ):
        with np.load(FIXTURES / "torch" / "fashion_mnist_512.npz") as file:
            images, labels = file["images"], file["labels"].astype("int32")
        self.path.write_bytes(torch_files.real_old())
        model = torch_files.real_network()
        keras_sat.load_torch_checkpoint(model, self.path)
        report = keras_sat.evaluate_robustness(
            model,
            (images, labels),
            "standard",
            epsilon,
            norm,
            diagnose=False,
            batch_size=512,
            verbose=0,
        )
        self.assertAllClose(report.clean_accuracy, 418 / 512)
        # The official figures are rounded to a hundredth of a percent.
        self.assertAllClose(
            report.robust_accuracy, expected, rtol=0, atol=tolerance + 1e-4
        )
