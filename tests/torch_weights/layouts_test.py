"""Tests of weights that are laid out anew."""

import keras
import numpy as np
from absl.testing import parameterized

from keras_sat.torch_weights import layouts
from tests.test_case import TestCase

layers = keras.layers


def random(*shape):
    """Random numbers."""
    return np.random.default_rng(len(shape)).normal(size=shape)


def convolved(x, weight, groups):
    """PyTorch's convolution of an image `(channels, height, width)`."""
    count, size, height, width = weight.shape
    outputs = np.zeros((count, x.shape[1] - height + 1, x.shape[2] - width + 1))
    for o in range(count):
        first = o // (count // groups) * size
        for i in range(outputs.shape[1]):
            for j in range(outputs.shape[2]):
                part = x[first : first + size, i : i + height, j : j + width]
                outputs[o, i, j] = np.sum(part * weight[o])
    return outputs


class LayoutsTest(TestCase):
    @parameterized.parameters(
        (layers.Conv2D(6, (2, 3)), (6, 4, 2, 3), 1),
        (layers.Conv2D(6, (2, 3), groups=2), (6, 2, 2, 3), 2),
        (layers.DepthwiseConv2D((2, 3)), (4, 1, 2, 3), 4),
        (
            layers.DepthwiseConv2D((2, 3), depth_multiplier=2),
            (8, 1, 2, 3),
            4,
        ),
    )
    def test_convolutions_compute_the_same(self, layer, shape, groups):
        x, weight = random(4, 5, 6), random(*shape)
        layer.build((None, 5, 6, 4))
        kernel = layouts.laid_out(weight, layer, layer.kernel)
        layer.set_weights([kernel, np.zeros(shape[0])])
        found = layer(np.moveaxis(x, 0, -1)[np.newaxis])[0]
        expected = np.moveaxis(convolved(x, weight, groups), 0, -1)
        self.assertAllClose(found, expected, atol=1e-5)

    def test_a_dense_layer_computes_the_same(self):
        layer, weight, x = layers.Dense(3), random(3, 5), random(2, 5)
        layer.build((None, 5))
        kernel = layouts.laid_out(weight, layer, layer.kernel)
        self.assertAllClose(x @ kernel, x @ weight.T)
        pixels = weight[:, :, np.newaxis, np.newaxis]
        found = layouts.laid_out(pixels, layer, layer.kernel)
        self.assertAllEqual(found, kernel)

    def test_a_dense_layer_is_a_convolution_of_single_pixels(self):
        layer, weight = layers.Conv2D(3, 1), random(3, 5)
        layer.build((None, 4, 4, 5))
        kernel = layouts.laid_out(weight, layer, layer.kernel)
        self.assertAllEqual(kernel[0, 0], weight.T)

    def test_after_a_flattening_the_channels_move_to_the_end(self):
        image, weight = random(4, 5, 3), random(7, 60)
        layer = layers.Dense(7)
        layer.build((None, 60))
        kernel = layouts.laid_out(weight, layer, layer.kernel, (4, 5, 3))
        # PyTorch flattens (channels, height, width).
        expected = weight @ np.moveaxis(image, -1, 0).ravel()
        self.assertAllClose(image.ravel() @ kernel, expected)
        normalization = layers.BatchNormalization()
        normalization.build((None, 60))
        vector = layouts.laid_out(
            np.moveaxis(image, -1, 0).ravel(),
            normalization,
            normalization.gamma,
            (4, 5, 3),
        )
        self.assertAllEqual(vector, image.ravel())
        # The bias belongs to the units after it.
        bias = layouts.laid_out(random(7), layer, layer.bias, (4, 5, 3))
        self.assertAllEqual(bias, random(7))

    @parameterized.parameters((), ((6,),))
    def test_slopes_are_one_or_one_for_each_channel(self, shape=(1,)):
        axes = [1, 2] if shape == (6,) else [1, 2, 3]
        layer = layers.PReLU(shared_axes=axes)
        layer.build((None, 4, 4, 6))
        found = layouts.laid_out(random(*shape), layer, layer.alpha)
        self.assertEqual(found.shape, tuple(layer.alpha.shape))
        self.assertAllEqual(found.ravel(), random(*shape))

    @parameterized.parameters(
        (6, 4, 3, 2), (4, 6, 2, 3), (6, 4, 2), (6, 4, 6), (144,)
    )
    def test_other_shapes_do_not_fit(self, *shape):
        layer = layers.Conv2D(6, (2, 3))
        layer.build((None, 5, 6, 4))
        self.assertIsNone(layouts.laid_out(random(*shape), layer, layer.kernel))
        self.assertIsNone(layouts.laid_out(random(5), layer, layer.bias))
        self.assertIsNone(layouts.laid_out(random(6, 1), layer, layer.bias))

    def test_a_very_large_view_is_not_copied(self):
        layer = layers.Dense(2)
        layer.build((None, 2))
        huge = np.broadcast_to(np.float32(1), (10**6, 10**6))
        self.assertIsNone(layouts.laid_out(huge, layer, layer.kernel))
