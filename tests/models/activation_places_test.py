"""Tests of the places of activations."""

from keras_sat import activation_sites
from tests.models.networks import MIXED
from tests.models.networks import mixed
from tests.models.networks import mobile
from tests.models.networks import with_block
from tests.test_case import TestCase


class SitesTest(TestCase):
    def test_finds_all_sites_in_their_places(self):
        found = dict(activation_sites(mixed()))
        self.assertContainsSubset(MIXED.items(), found.items())
        others = sorted(set(found.values()) - set(MIXED.values()))
        self.assertEqual(others, ["hard_sigmoid", "silu", "softmax"])
        kinds = list(found.values())
        self.assertEqual(kinds.count("relu"), 3)
        self.assertLen(found, 10)

    def test_a_hard_swish_of_parts_is_one_site_and_a_gate_another(self):
        kinds = [name for _, name in activation_sites(mobile())]
        self.assertEqual(kinds, ["hard_silu", "hard_silu", "hard_sigmoid"])

    def test_looks_into_layers(self):
        kinds = [name for _, name in activation_sites(with_block())]
        self.assertEqual(kinds, ["relu", "relu", "relu"])
