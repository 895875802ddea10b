import keras
import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat import activations
from keras_sat import models
from tests.models import reference
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

# The numbers of the definitions of timm and, for the convolutional stem, of
# robustbench.
COUNTS = (
    ("tiny", "patch", 28_589_128),
    ("tiny", "conv", 28_627_432),
    ("small", "patch", 50_223_688),
    ("base", "patch", 88_591_464),
    ("base", "conv", 88_753_416),
)
LARGE_COUNTS = (("large", "patch", 197_767_336),)


def small(**options):
    """The network of four stages with few classes, for small images."""
    options = {"num_classes": 10, "input_shape": (32, 32, 3), **options}
    return models.convnext("tiny", **options)


class ConvNeXtTest(TestCase):
    def check_count(self, variant, stem, expected):
        model = models.convnext(variant, stem=stem)
        self.assertEqual(model.count_params(), expected)

    @parameterized.parameters(*COUNTS)
    def test_has_the_public_number_of_weights(self, *count):
        self.check_count(*count)

    @parameterized.parameters(*LARGE_COUNTS)
    @pytest.mark.large
    def test_has_the_public_number_of_weights_if_large(self, *count):
        self.check_count(*count)

    @parameterized.parameters(
        ("tiny", "patch", 18),
        ("tiny", "conv", 20),
        ("small", "patch", 36),
        ("base", "conv", 39),
    )
    def test_activation_reaches_every_site(self, variant, stem, expected):
        model = models.convnext(variant, activations.SmoothReLU, stem=stem)
        roots = {id(w) for w in model.weights if w.name == "root"}
        self.assertLen(roots, expected)
        self.assertEqual(
            [kind for _, kind in models.activation_sites(model)],
            ["smoothrelu"] * expected,
        )

    def test_a_block_is_the_formula(self):
        model = small(activation="silu")
        names = ("group1_downsample", "group1_block0_add")
        features = keras.Model(
            model.input, [model.get_layer(name).output for name in names]
        )
        scale = model.get_layer("group1_block0_scale").scale
        scale.assign(np.linspace(0.1, 1, scale.shape[0]))
        images = np.random.default_rng(0).uniform(size=(1, 32, 32, 3))
        x, found = (np.asarray(value)[0] for value in features(images))

        def weights(name):
            return model.get_layer(f"group1_block0_{name}").get_weights()

        kernel, bias = weights("depthwise")
        padded = np.pad(x, [(3, 3), (3, 3), (0, 0)])
        y = bias + sum(
            padded[i : i + 4, j : j + 4] * kernel[i, j, :, 0]
            for i in range(7)
            for j in range(7)
        )
        y -= y.mean(-1, keepdims=True)
        y /= np.sqrt(np.mean(y**2, -1, keepdims=True) + 1e-6)
        gamma, beta = weights("norm")
        y = gamma * y + beta
        kernel, bias = weights("expand")
        y = y @ kernel[0, 0] + bias
        y /= 1 + np.exp(-y)
        kernel, bias = weights("project")
        y = y @ kernel[0, 0] + bias
        self.assertAllClose(found, x + y * np.asarray(scale), atol=1e-5)

    @parameterized.parameters("patch", "conv")
    def test_halves_the_size_five_times(self, stem):
        model = small(stem=stem, input_shape=(64, 96, 3))
        self.assertEqual(model.get_layer("pool").input.shape[1:3], (2, 3))

    def test_blocks_are_left_out_in_training_only(self):
        model = small(stochastic_depth=0.9)
        for layer in model.layers:
            if layer.name.endswith("_scale"):
                layer.scale.assign(np.ones(layer.scale.shape))
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        self.assertAllEqual(model(images), model(images))
        first, second = (model(images, training=True) for _ in range(2))
        self.assertGreater(np.abs(first - second).max(), 1e-4)
        drops = [
            layer.rate
            for layer in model.layers
            if isinstance(layer, keras.layers.Dropout)
        ]
        self.assertAllClose(drops, 0.9 * np.arange(1, 18) / 17)

    @pytest.mark.large
    def test_survives_saving(self):
        model = small(stem="conv", stochastic_depth=0.1)
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        loaded = reference.save_and_load(model, self.get_temp_dir())
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.parameters(
        ({"variant": "huge"}, "`variant` must be one of .*'tiny'.*'huge'"),
        ({"stem": "pach"}, "`stem` must be one of .*'patch'.*'pach'"),
        ({"stochastic_depth": 2.0}, "`stochastic_depth` must lie in"),
    )
    def test_says_what_is_wrong(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            models.convnext(**arguments)
