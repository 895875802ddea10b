"""Tests of the table of names."""

from absl.testing import parameterized

from keras_sat.torch_weights import families
from tests.test_case import TestCase
from tests.torch_weights import definitions

# From public definitions to the families that name them.
DEFINITIONS = {
    "cifar_resnet18": "ResNet for CIFAR",
    "convnext_tiny": "ConvNeXt of timm",
    "convnext_tiny_convstem": "ConvNeXt with convolutional stem",
    "dm_preact_resnet18_silu": "pre-activation ResNet of DeepMind",
    "dm_wide_resnet_28_10_silu": "WideResNet of DeepMind",
    "preact_resnet18": "pre-activation ResNet",
    "preact_resnet18_v2": "pre-activation ResNet",
    "torchvision_resnet18": "ResNet of torchvision",
    "torchvision_wide_resnet50_2": "ResNet of torchvision",
    "wide_resnet_28_10": "WideResNet of TRADES",
    "wide_resnet_34_10": "WideResNet of TRADES",
}


class FamiliesTest(TestCase):
    @parameterized.parameters(*DEFINITIONS.items())
    def test_every_module_has_one_layer_and_back(self, name, family):
        modules = {
            key.rpartition(".")[0]
            for key in definitions.reference(name)["shapes"]
        }
        layers = {families.layer_of(family, module) for module in modules}
        self.assertNotIn(None, layers)
        self.assertLen(layers, len(modules))
        back = {families.module_of(family, layer) for layer in layers}
        self.assertEqual(back, modules)

    @parameterized.parameters(
        ("ResNet of torchvision", "layer3.11.conv2", "group2_block11_conv2"),
        (
            "WideResNet of DeepMind",
            "layer.0.block.1.conv_0",
            "group0_block1_conv1",
        ),
        (
            "ConvNeXt of its authors",
            "downsample_layers.0.0",
            "stem",
        ),
        (
            "ConvNeXt of its authors",
            "downsample_layers.2.1",
            "group2_downsample",
        ),
        ("ConvNeXt of its authors", "stages.1.2", "group1_block2_scale"),
    )
    def test_numbers_are_counted_from_where_each_counts(
        self, family, module, layer
    ):
        self.assertEqual(families.layer_of(family, module), layer)
        self.assertEqual(families.module_of(family, layer), module)

    @parameterized.parameters(
        "layer1.0.conv", "xlayer1.0.conv1", "layer1.0.conv1.x", "layera.0.bn1"
    )
    def test_other_names_have_no_layer(self, module):
        for family in families.FAMILIES:
            self.assertIsNone(families.layer_of(family, module))

    def test_templates_of_a_table_differ(self):
        for table in families.FAMILIES.values():
            self.assertLen(set(table.values()), len(table))

    @parameterized.parameters(
        ("bn1.num_batches_tracked", True),
        ("num_batches_tracked", True),
        ("module.sub_block1.layer.0.conv1.weight", True),
        ("sub_block1.layer.0.conv1.weight", True),
        ("model_preact_hl1.1.weight", True),
        ("layer1.0.conv1.scores", True),
        ("bn1.weight", False),
        ("num_batches_tracked.weight", False),
    )
    def test_some_tensors_are_no_weights(self, name, expected):
        found = families.IGNORABLE.search(name) is not None
        self.assertEqual(found, expected)
