"""Tests of the statistics of pixels that files hold."""

import keras
import numpy as np
from absl.testing import parameterized

from keras_sat.torch_weights import matching
from keras_sat.torch_weights import pixels
from tests.test_case import TestCase
from tests.torch_weights import definitions

MEAN = np.array([0.5, 0.4, 0.3], "float32").reshape(1, 3, 1, 1)
STD = np.array([0.3, 0.2, 0.1], "float32").reshape(1, 3, 1, 1)


def model(*first):
    """A model that begins with some layers."""
    return keras.Sequential(
        [keras.Input((4, 4, 3)), *first, keras.layers.Dense(2)]
    )


def standardizing():
    """A network with a place for the statistics."""
    return definitions.BUILDERS["preact_resnet18"]()


def added(network, statistics):
    """The match to which statistics were added."""
    match = matching.Match(family="any")
    pixels.add(match, network, statistics)
    return match


class PixelsTest(TestCase):
    def test_statistics_are_told_from_weights(self):
        arrays = {
            "normalize.mean": MEAN,
            "std": STD,
            "module.normalizer.new_mean": MEAN,
            "mu": MEAN,
            "bn.running_mean": MEAN,
            "mean.weight": MEAN,
            "sigma": np.ones(100, "float32"),
        }
        statistics, others = pixels.split(arrays)
        self.assertEqual(list(statistics), list(arrays)[:4])
        self.assertEqual(list(others), list(arrays)[4:])

    @parameterized.parameters(
        ("mean", "std"),
        ("normalize.mean", "normalize.std"),
        ("mu", "sigma"),
        ("module.normalizer.new_mean", "module.normalizer.new_std"),
    )
    def test_they_go_into_the_first_layer(self, mean, std):
        network = standardizing()
        match = added(network, {mean: MEAN, std: STD})
        layer = network.get_layer("standardize")
        self.assertEqual([x[0] for x in match.pairs], [layer.mean, layer.std])
        self.assertAllEqual(match.pairs[0][1], MEAN.ravel())
        self.assertAllEqual(match.pairs[1][1], STD.ravel())
        self.assertEqual(match.problems(), 0)

    def test_one_number_is_that_of_all_channels(self):
        one = np.array([0.5], "float32")
        match = added(standardizing(), {"mean": one, "std": one})
        self.assertAllEqual(match.pairs[0][1], [0.5, 0.5, 0.5])

    @parameterized.parameters(
        (keras.layers.Rescaling(2.0, offset=-1.0), 0.5, 0.5),
        (keras.layers.Rescaling([4.0, 4.0, 2.0]), 0, [0.25, 0.25, 0.5]),
        (
            keras.layers.Normalization(
                mean=[0.5, 0.4, 0.3], variance=[0.04, 0.09, 0.01]
            ),
            [0.5, 0.4, 0.3],
            [0.2, 0.3, 0.1],
        ),
        (keras.layers.ReLU(), 0.0, 1.0),
    )
    def test_a_model_may_do_the_same_by_other_layers(self, layer, mean, std):
        statistics = {
            "mean": np.full(3, mean, "float32"),
            "std": np.full(3, std, "float32"),
        }
        network = model(layer)
        self.assertEqual(added(network, statistics).problems(), 0)
        statistics["std"] = statistics["std"] * 1.01
        self.assertEqual(added(network, statistics).problems(), 1)

    def test_without_a_place_the_error_says_what_to_build(self):
        match = added(model(), {"mean": MEAN, "std": STD})
        self.assertEqual(
            match.unfit,
            [
                "mean has no counterpart; build the model with normalization="
                "((0.5, 0.4, 0.3), (0.3, 0.2, 0.1))"
            ],
        )

    def test_copies_are_one(self):
        statistics = {
            "normalizer.new_mean": MEAN,
            "normalizer.new_std": STD,
            "attacker.normalize.new_mean": MEAN,
            "attacker.normalize.new_std": STD,
        }
        self.assertEqual(added(standardizing(), statistics).problems(), 0)

    @parameterized.parameters(
        {"mean": MEAN},
        {"std": STD},
        {"mean": MEAN, "std": STD, "mu": 2 * MEAN},
        {"mean": MEAN, "std": 0 * STD},
        {"mean": MEAN, "std": STD * np.nan},
    )
    def test_what_contradicts_itself_is_refused(self, **statistics):
        match = added(standardizing(), statistics)
        self.assertRegex(match.unfit[0], "are not one mean and one standard")

    def test_another_number_of_channels_is_refused(self):
        two = np.ones(2, "float32")
        match = added(standardizing(), {"mean": two, "std": two})
        self.assertEqual(match.unfit[0], "mean has 2 numbers")
        match = added(model(), {"mean": two, "std": two})
        self.assertEqual(match.problems(), 1)
