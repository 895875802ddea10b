"""Tests of grouped convolutions, against a sum over each group."""

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat.convolutions import convolve_by_groups
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class ConvolutionsTest(TestCase):
    @parameterized.product(
        groups=(2, 4), strides=(1, 2), padding=("same", "valid")
    )
    def test_each_group_sees_its_own_channels_only(
        self, groups, strides, padding
    ):
        layer = keras.layers.Conv2D(
            8, 3, strides, padding, groups=groups, use_bias=False
        )
        images = np.random.default_rng(0).normal(size=(2, 7, 9, 4))
        images = images.astype("float32")
        layer.build(images.shape)
        kernel = layer.kernel.numpy()
        found = convolve_by_groups(layer, images, layer.kernel)
        parts = []
        for group in range(groups):
            plain = keras.layers.Conv2D(
                8 // groups, 3, strides, padding, use_bias=False
            )
            channels = slice(group * 4 // groups, (group + 1) * 4 // groups)
            filters = slice(group * 8 // groups, (group + 1) * 8 // groups)
            plain.build((None, 7, 9, 4 // groups))
            plain.kernel.assign(kernel[..., filters])
            parts.append(plain(images[..., channels]))
        expected = np.concatenate(parts, -1)
        self.assert_same_up_to_rounding(found, expected, roundings=2 * 36)
