import json

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat import activations
from keras_sat import models
from tests.models import networks
from tests.models import reference
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.test_case import roundings

pytestmark = pytest.mark.numeric

# From public definitions to the arguments that make the same network.
DEFINITIONS = {
    "preact_resnet18": {"final_normalization": False, "shortcut": "input"},
    "preact_resnet18_v2": {},
    "dm_preact_resnet18_silu": {
        "shortcut": "input",
        "shortcut_size": 3,
        "padding": "same",
    },
}


def public_count(name):
    """The number of trainable weights of a definition in PyTorch."""
    path = FIXTURES / "torch" / f"{name}.json"
    shapes = json.loads(path.read_text())["shapes"]
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(
        int(np.prod(shape))
        for key, shape in shapes.items()
        if not key.endswith(buffers)
    )


class PreactResNetTest(TestCase):
    @parameterized.parameters(*DEFINITIONS)
    def test_has_the_public_number_of_weights(self, name):
        model = models.preact_resnet(18, **DEFINITIONS[name])
        trainable = sum(np.prod(w.shape) for w in model.trainable_weights)
        self.assertEqual(trainable, public_count(name))

    @parameterized.parameters((18, True, 17), (18, False, 16), (34, True, 33))
    def test_each_site_has_an_activation_of_its_own(
        self, depth, final, expected
    ):
        model = models.preact_resnet(
            depth, activations.SmoothReLU, final_normalization=final
        )
        roots = {id(w) for w in model.weights if w.name == "root"}
        self.assertLen(roots, expected)
        self.assertLen(models.activation_sites(model), expected)

    @parameterized.parameters(*DEFINITIONS)
    def test_activation_is_the_only_non_linearity(self, name):
        model = models.preact_resnet(18, lambda x: x, **DEFINITIONS[name])
        images = np.random.default_rng(0).uniform(size=(2, 3, 32, 32, 3))
        # Only an affine network keeps the mean of any two images.
        self.assert_same_up_to_rounding(
            model(images.mean(axis=0)),
            (model(images[0]) + model(images[1])) / 2,
            roundings(model),
        )

    def test_shortcuts_start_where_they_should(self):
        for shortcut, before in (
            ("input", "group0_block1_add"),
            ("activation", "group1_block0_conv1_activation"),
        ):
            model = models.preact_resnet(18, shortcut=shortcut)
            layer = model.get_layer("group1_block0_convshortcut")
            self.assertIs(layer.input, model.get_layer(before).output)

    def test_zero_gamma_makes_the_blocks_begin_as_the_identity(self):
        model = models.preact_resnet(18, zero_gamma=True)
        names = ("conv0", "group0_block1_add")
        self.assertAllEqual(*networks.outputs_of(model, names))

    def test_survives_saving(self):
        model = models.preact_resnet(18, "silu", normalization="cifar10")
        images = np.random.default_rng(0).uniform(size=(2, 32, 32, 3))
        loaded = reference.save_and_load(model, self.get_temp_dir())
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.parameters(
        ({"depth": 50}, "`depth` must be one of .*18, 34.*depth=50"),
        ({"shortcut": "end"}, "`shortcut` must be one of .*'end'"),
        ({"shortcut_size": 2}, "`shortcut_size` must be 1 or 3.*=2"),
        ({"padding": "valid"}, "`padding` must be one of .*'valid'"),
    )
    def test_says_what_is_wrong(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            models.preact_resnet(**arguments)
