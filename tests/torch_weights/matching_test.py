"""Tests of finding the counterpart of each weight."""

import keras
import numpy as np
from absl.testing import parameterized

from keras_sat import models
from keras_sat.torch_weights import matching
from tests.test_case import TestCase
from tests.torch_weights import definitions
from tests.torch_weights import torch_files


def small():
    """A network with two layers of one shape, and a normalization."""
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, name="a"),
            keras.layers.BatchNormalization(name="b"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="c"),
            keras.layers.Dense(4, name="d"),
        ]
    )


def tensors():
    """The tensors of such a network in PyTorch, in its order."""
    shapes = {
        "features.0.weight": (4, 3, 3, 3),
        "features.0.bias": (4,),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "head.0.weight": (4, 4),
        "head.0.bias": (4,),
        "head.2.weight": (4, 4),
        "head.2.bias": (4,),
    }
    generator = np.random.default_rng(0)
    return {k: generator.uniform(1, 2, shape) for k, shape in shapes.items()}


def names(match):
    """From the paths of weights to the names of their tensors."""
    return {
        "/".join(weight.path.split("/")[-2:]): name
        for weight, _, name in match.pairs
    }


class InOrderTest(TestCase):
    def test_layers_and_modules_are_paired_by_kind_shape_and_order(self):
        match = matching.best(small(), tensors())
        self.assertEqual(match.family, matching.IN_ORDER)
        self.assertEqual(match.problems(), 0)
        self.assertEqual(
            names(match),
            {
                "a/kernel": "features.0.weight",
                "a/bias": "features.0.bias",
                "b/gamma": "features.1.weight",
                "b/beta": "features.1.bias",
                "b/moving_mean": "features.1.running_mean",
                "b/moving_variance": "features.1.running_var",
                "c/kernel": "head.0.weight",
                "c/bias": "head.0.bias",
                "d/kernel": "head.2.weight",
                "d/bias": "head.2.bias",
            },
        )

    def test_the_order_of_different_kinds_does_not_matter(self):
        found = tensors()
        heads = {name: x for name, x in found.items() if "head" in name}
        found = heads | {k: x for k, x in found.items() if k not in heads}
        self.assertEqual(next(iter(found)), "head.0.weight")
        match = matching.best(small(), found)
        self.assertEqual(match.problems(), 0)
        self.assertEqual(names(match)["a/kernel"], "features.0.weight")

    def test_what_is_missing_left_over_or_of_another_shape_is_listed(self):
        found = tensors()
        del found["features.0.bias"]
        match = matching.best(small(), found)
        self.assertEqual(
            match.missing, ["a/kernel (3, 3, 3, 4)", "a/bias (4,)"]
        )
        self.assertEqual(match.left, ["features.0.weight"])
        found = tensors() | {"extra.weight": np.ones(3)}
        match = matching.best(small(), found)
        self.assertEqual((match.missing, match.left), ([], ["extra.weight"]))

    def test_layers_of_one_name_in_two_models_are_two(self):
        parts = [
            keras.Sequential(
                [keras.Input((4,)), keras.layers.Dense(4, name="same")]
            )
            for _ in range(2)
        ]
        model = keras.Sequential([keras.Input((4,)), *parts])
        match = matching.best(
            model, {k: x for k, x in tensors().items() if "head" in k}
        )
        self.assertEqual(match.problems(), 0)
        self.assertLen({id(weight) for weight, _, _ in match.pairs}, 4)

    def test_layers_with_converted_activations_are_matched(self):
        layer = keras.layers.TimeDistributed(
            keras.layers.Dense(4, activation="relu")
        )
        model = keras.Sequential([keras.Input((2, 4)), layer])
        twin = models.convert_activations(model, "silu")
        found = {k: x for k, x in tensors().items() if "head.0" in k}
        self.assertEqual(matching.best(twin, found).problems(), 0)


class ByNamesTest(TestCase):
    @parameterized.parameters(
        "", "module.", "model.", "module.model.", "attacker.model."
    )
    def test_any_prefix_is_found(self, prefix):
        name = "dm_preact_resnet18_silu"
        arrays = {
            prefix + key: array
            for key, array in definitions.state_dict(name).items()
            if "num_batches" not in key
        }
        match = matching.best(definitions.BUILDERS[name](), arrays)
        self.assertEqual(match.problems(), 0)
        self.assertEqual(match.family, "pre-activation ResNet of DeepMind")
        self.assertEqual(
            names(match)["group1_block0_convshortcut/kernel"],
            f"{prefix}layer_1.0.shortcut.weight",
        )

    def test_no_order_helps_a_network_of_this_package(self):
        model = models.wide_resnet(10, 1)
        arrays = {
            f"{i}.{site.part()}": np.ones(
                np.transpose(site.weight).shape, "float32"
            )
            for i, site in enumerate(matching.sites(model))
        }
        match = matching.best(model, arrays)
        self.assertLen(match.missing, len(model.weights))

    def test_the_nearest_family_is_that_of_the_file(self):
        for name, family in (
            ("cifar_resnet18", "ResNet for CIFAR"),
            ("wide_resnet_28_10", "WideResNet of TRADES"),
            ("torchvision_resnet50_normalized", "ResNet of torchvision"),
            ("convnext_tiny", "ConvNeXt of timm"),
        ):
            shapes = definitions.reference(name)["shapes"]
            arrays = {key: None for key in shapes if "num_batches" not in key}
            self.assertEqual(matching.nearest_family(arrays), family)
        real = torch_files.real_tensors()
        self.assertIsNone(matching.nearest_family(real))

    def test_names_of_very_many_words_take_no_memory(self):
        names = ["a." * 10**6 + str(i) for i in range(10)]
        self.assertLen(matching.prefixes(names, 10), 9)
        arrays = {f"layer{'9' * 10**5}.0.conv1.{n}": np.ones(3) for n in names}
        match = matching.best(models.wide_resnet(10, 1), arrays)
        self.assertLen(match.left, 10)

    def test_integers_are_no_weights(self):
        found = tensors()
        found["head.0.weight"] = found["head.0.weight"].astype("int8")
        match = matching.best(small(), found)
        self.assertEqual(
            match.unfit, ["head.0.weight has no floating-point numbers"]
        )
