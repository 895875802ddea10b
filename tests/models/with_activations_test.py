"""Tests of layers that contain activations."""

import keras
import pytest

from keras_sat import convert_activations
from keras_sat.models.with_activations import WithActivations
from tests.models.networks import images
from tests.models.networks import relus
from tests.models.networks import with_block
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

layers = keras.layers


class WithActivationsTest(TestCase):
    def test_saved_blocks_keep_what_was_replaced(self):
        smooth = convert_activations(with_block(), "gelu")
        self.assertIsInstance(smooth.get_layer("block"), WithActivations)
        path = f"{self.get_temp_dir()}/block.keras"
        smooth.save(path)
        loaded = keras.saving.load_model(path)
        self.assert_same_bits(loaded(images()), smooth(images()))
        self.assertEmpty(relus(loaded))
