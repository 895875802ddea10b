"""Tests of the table of RobustBench's networks."""

import dataclasses
import pathlib
from unittest import mock

import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat.torch_weights import leaderboard
from tests.test_case import TestCase
from tests.torch_weights import definitions
from tests.torch_weights import torch_files

ENTRIES = leaderboard.robustbench_entries()


def entry(name, dataset="cifar10", threat_model="linf"):
    """The entry of a name."""
    (found,) = (
        entry
        for entry in ENTRIES
        if (entry.name, entry.dataset, entry.threat_model)
        == (name, dataset, threat_model)
    )
    return found


class TableTest(TestCase):
    def test_has_an_entry_for_each_name_data_set_and_threat_model(self):
        keys = {(e.name, e.dataset, e.threat_model) for e in ENTRIES}
        self.assertLen(keys, len(ENTRIES))
        self.assertGreater(len(ENTRIES), 100)

    def test_its_values_are_possible(self):
        for e in ENTRIES:
            self.assertLess(e.robust_accuracy, e.clean_accuracy)
            self.assertBetween(e.clean_accuracy, 0.3, 1)
            self.assertIn(e.network, leaderboard.NETWORKS)
            self.assertIn(e.preprocessing, leaderboard.SIZES)
            self.assertEqual(e.preprocessing != "", e.dataset == "imagenet")
            self.assertStartsWith(e.paper, "https://")
            radii = [0.5] if e.threat_model == "l2" else [4 / 255, 0.031]
            self.assertLess(min(abs(e.epsilon - r) for r in radii), 0.001)

    def test_has_the_numbers_of_the_leaderboard(self):
        best = entry("Wang2023Better_WRN-28-10")
        self.assertEqual(
            dataclasses.asdict(best),
            {
                "name": "Wang2023Better_WRN-28-10",
                "dataset": "cifar10",
                "threat_model": "linf",
                "epsilon": 8 / 255,
                "network": "dm_wide_resnet",
                "size": "28-10",
                "activation": "silu",
                "normalization": (
                    (0.4914, 0.4822, 0.4465),
                    (0.2471, 0.2435, 0.2616),
                ),
                "preprocessing": "",
                "entry": None,
                "clean_accuracy": 0.9244,
                "robust_accuracy": 0.6731,
                "paper": "https://arxiv.org/abs/2302.04638",
            },
        )

    @parameterized.parameters(
        ("cifar_resnet18", "Addepalli2022Efficient_RN18"),
        ("dm_preact_resnet18_silu", "Rebuffi2021Fixing_R18_ddpm"),
        ("preact_resnet18", "Andriushchenko2020Understanding"),
        ("preact_resnet18_v2", "Rice2020Overfitting", "cifar10", "l2"),
        ("wide_resnet_28_10", "Carmon2019Unlabeled"),
        ("wide_resnet_34_10", "Zhang2019Theoretically"),
        ("dm_wide_resnet_28_10_silu", "Wang2023Better_WRN-28-10"),
    )
    def test_an_entry_builds_the_network_of_its_definition(
        self, definition, *key
    ):
        found, expected = entry(*key).build(), definitions.BUILDERS[definition]
        self.check_same_layers(found, expected())

    @parameterized.parameters(
        ("torchvision_resnet18", "Salman2020Do_R18"),
        ("torchvision_resnet50_normalized", "Salman2020Do_R50"),
        ("torchvision_wide_resnet50_2", "Salman2020Do_50_2"),
        (
            "convnext_tiny_convstem",
            "Singh2023Revisiting_ConvNeXt-T-ConvStem",
        ),
    )
    @pytest.mark.large
    def test_those_of_imagenet_differ_in_the_size_of_images(
        self, definition, name
    ):
        found = entry(name, "imagenet").build()
        self.assertEqual(found.input_shape, (None, 224, 224, 3))
        self.assertEqual(found.output_shape, (None, 1000))
        self.check_same_layers(found, definitions.BUILDERS[definition]())

    def check_same_layers(self, found, expected):
        """Compares all that makes layers what they are, but sizes."""

        def configurations(model):
            ignored = ("mean", "std", "units", "batch_shape", "build_config")
            return [
                {
                    key: value
                    for key, value in layer.get_config().items()
                    if key not in ignored
                }
                for layer in model.layers
            ]

        self.assertEqual(configurations(found), configurations(expected))

    @pytest.mark.large
    def test_every_entry_can_be_built(self):
        built = {}
        for e in ENTRIES:
            key = (e.network, e.size)
            if key not in built:
                built[key] = e.build().count_params()
        self.assertGreater(built["dm_wide_resnet", "94-16"], 3e8)


class RobustBenchTest(TestCase):
    def write(self, name, wrap=lambda weights: weights):
        """Writes the weights of a definition as a file of RobustBench."""
        path = pathlib.Path(self.get_temp_dir()) / "weights.pt"
        return torch_files.save(path, wrap(definitions.state_dict(name)))

    def assert_computes(self, model, name):
        """Checks that a model has the logits of a definition."""
        expected = definitions.reference(name)["logits"]
        error = model(definitions.images(name)) - np.array(expected)
        self.assertLess(np.abs(error).max(), 1e-4 * np.std(expected))

    def test_one_line_imports_a_network(self):
        path = self.write("dm_preact_resnet18_silu")
        model = keras_sat.robustbench("Rebuffi2021Fixing_R18_ddpm", path)
        self.assert_computes(model, "dm_preact_resnet18_silu")

    def test_takes_the_dictionary_that_the_leaderboard_takes(self):
        path = self.write(
            "preact_resnet18",
            lambda weights: {
                "best": {k: np.array(2 * x) for k, x in weights.items()},
                "last": weights,
            },
        )
        model = keras_sat.robustbench("Andriushchenko2020Understanding", path)
        self.assert_computes(model, "preact_resnet18")

    def test_without_a_path_the_network_is_built_only(self):
        with mock.patch.object(leaderboard, "load_torch_checkpoint") as load:
            model = keras_sat.robustbench(
                "Rice2020Overfitting", dataset="cifar100"
            )
        load.assert_not_called()
        self.assertEqual(model.output_shape, (None, 100))

    @parameterized.parameters(
        ({"name": "Wang2023Better_WRN-28-1"}, "`name`.*Wang2023Better_WRN-28"),
        (
            {"name": "Salman2020Do_R50"},
            r"`name` must be .*'cifar10'.*\('imagenet', 'linf'\)",
        ),
        ({"name": 3}, "`name` must be .*name=3"),
        ({"name": "Standard", "dataset": "mnist"}, "`dataset` must be one of"),
        (
            {"name": "Standard", "threat_model": "Linf"},
            "`threat_model` must be one of .*'Linf'",
        ),
    )
    def test_says_what_is_wrong(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            keras_sat.robustbench(**arguments)
