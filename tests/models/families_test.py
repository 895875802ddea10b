"""`convert_activations` on the model families of Keras, KerasCV and KerasHub.

The configurations are as small as their builders allow. What is left out of
`make test` for its time is in `make test-large`.
"""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import SATModel
from keras_sat import activation_sites
from keras_sat import convert_activations
from keras_sat.models import activation_places
from tests.test_case import TestCase

KINKS = ("Relu", "Relu6", "LeakyRelu", "Selu")
WORK = ("Conv2D", "DepthwiseConv2dNative", "MatMul", "MaxPool", "AvgPool")
NOT_SMOOTH = {*activation_places.NON_SMOOTH, "hard_sigmoid"}

# Names, sizes of the images, and their activation where they have one only.
APPLICATIONS = (
    ("MobileNetV3Small", 32, None),
    ("VGG16", 32, "relu"),
)
LARGE_APPLICATIONS = (
    ("ConvNeXtTiny", 32, "gelu"),
    ("DenseNet121", 32, "relu"),
    ("EfficientNetB0", 32, "silu"),
    ("EfficientNetV2B0", 32, "silu"),
    ("InceptionResNetV2", 75, "relu"),
    ("InceptionV3", 75, "relu"),
    ("MobileNet", 32, "relu6"),
    ("MobileNetV2", 32, "relu6"),
    ("MobileNetV3Large", 32, None),
    ("NASNetMobile", 32, "relu"),
    ("ResNet50", 32, "relu"),
    ("ResNet50V2", 32, "relu"),
    ("Xception", 71, "relu"),
)

EFFICIENTNET = dict(
    stackwise_kernel_sizes=[3, 5],
    stackwise_num_repeats=[1, 1],
    stackwise_input_filters=[32, 16],
    stackwise_output_filters=[16, 24],
    stackwise_expansion_ratios=[1, 6],
    stackwise_strides=[1, 2],
)
CV_EFFICIENTNET = dict(
    EFFICIENTNET, width_coefficient=1.0, depth_coefficient=0.1
)
CV_RESNET = dict(
    stackwise_filters=[8], stackwise_blocks=[2], stackwise_strides=[1]
)
DARKNET = dict(stackwise_channels=[8, 16], stackwise_depth=[1, 1])
KERAS_CV = (
    (
        "MobileNetV3Backbone",
        dict(
            stackwise_expansion=[1, 4],
            stackwise_filters=[8, 8],
            stackwise_kernel_size=[3, 3],
            stackwise_stride=[2, 1],
            stackwise_se_ratio=[0.25, None],
            stackwise_activation=["relu", "hard_swish"],
        ),
    ),
)
LARGE_KERAS_CV = (
    ("CSPDarkNetBackbone", DARKNET),
    ("DenseNetBackbone", dict(stackwise_num_repeats=[1, 1], growth_rate=4)),
    ("EfficientNetLiteBackbone", CV_EFFICIENTNET),
    (
        "EfficientNetV1Backbone",
        dict(CV_EFFICIENTNET, stackwise_squeeze_and_excite_ratios=[0.25, 0.25]),
    ),
    (
        "EfficientNetV2Backbone",
        dict(
            CV_EFFICIENTNET,
            stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
            stackwise_conv_types=["fused", "unfused"],
        ),
    ),
    (
        "MiTBackbone",
        dict(depths=[1, 1, 1, 1], embedding_dims=[8, 16, 40, 64]),
    ),
    ("ResNetBackbone", CV_RESNET),
    ("ResNetV2Backbone", CV_RESNET),
    ("VGG16Backbone", dict(include_top=False)),
    (
        "ViTDetBackbone",
        dict(
            embed_dim=8,
            depth=1,
            mlp_dim=8,
            num_heads=1,
            out_chans=8,
            global_attention_indices=[0],
            patch_size=8,
        ),
    ),
    ("YOLOV8Backbone", DARKNET),
)

HUB_RESNET = dict(
    input_conv_filters=[64],
    input_conv_kernel_sizes=[3],
    stackwise_num_filters=[64, 8],
    stackwise_num_blocks=[2, 2],
    stackwise_num_strides=[1, 2],
    block_type="basic_block",
)
HUB_EFFICIENTNET = dict(
    EFFICIENTNET,
    stackwise_width_coefficients=[0.25, 0.25],
    stackwise_depth_coefficients=[0.1, 0.1],
    stackwise_squeeze_and_excite_ratios=[0.25, 0.25],
    num_features=16,
)
VISION_TRANSFORMER = dict(patch_size=8, num_layers=1, num_heads=1, hidden_dim=8)
KERAS_HUB = (
    (
        "MobileNet",
        dict(
            stackwise_expansion=[[8], [16, 16]],
            stackwise_num_blocks=[1, 2],
            stackwise_num_filters=[[8], [8, 8]],
            stackwise_kernel_size=[[3], [3, 5]],
            stackwise_num_strides=[[2], [2, 1]],
            stackwise_se_ratio=[[0.25], [None, 0.25]],
            stackwise_activation=[["relu"], ["hard_swish", "hard_swish"]],
            stackwise_padding=[[1], [1, 2]],
            output_num_filters=16,
            depthwise_filters=8,
            depthwise_stride=2,
            depthwise_residual=False,
            last_layer_filter=16,
            squeeze_and_excite=0.25,
        ),
        dict(num_features=8),
    ),
    (
        "HGNetV2",
        dict(
            depths=[1, 1],
            embedding_size=8,
            hidden_sizes=[8, 8],
            stem_channels=[3, 8, 8],
            hidden_act="relu",
            use_learnable_affine_block=False,
            stackwise_stage_filters=[[8, 8, 8, 1, 2, 3], [8, 8, 8, 1, 2, 3]],
            apply_downsample=[False, True],
            use_lightweight_conv_block=[False, True],
        ),
        dict(preprocessor=None, head_filters=8),
    ),
)
LARGE_KERAS_HUB = (
    (
        "CSPNet",
        dict(
            stem_filters=8,
            stem_kernel_size=3,
            stem_strides=1,
            stackwise_depth=[1, 1],
            stackwise_strides=[1, 2],
            stackwise_num_filters=[8, 8],
            block_type="dark_block",
            stage_type="dark",
        ),
    ),
    ("DeiT", dict(VISION_TRANSFORMER, intermediate_dim=8)),
    ("DenseNet", dict(stackwise_num_repeats=[1, 1], growth_rate=4)),
    (
        "EfficientNet",
        dict(HUB_EFFICIENTNET, stackwise_block_types=["fused", "unfused"]),
    ),
    (
        "EfficientNet",
        dict(
            HUB_EFFICIENTNET,
            stackwise_block_types=["v1", "cba"],
            activation="relu6",
        ),
    ),
    (
        "MiT",
        dict(
            layerwise_depths=[1, 1],
            num_layers=2,
            layerwise_num_heads=[1, 2],
            layerwise_sr_ratios=[4, 2],
            max_drop_path_rate=0.1,
            layerwise_patch_sizes=[7, 3],
            layerwise_strides=[4, 2],
            hidden_dims=[8, 16],
        ),
    ),
    ("ResNet", HUB_RESNET),
    ("ResNet", dict(HUB_RESNET, use_pre_activation=True)),
    (
        "SwinTransformer",
        dict(embed_dim=8, depths=[1, 1], num_heads=[1, 1], window_size=4),
    ),
    ("VGG", dict(stackwise_num_repeats=[1, 1], stackwise_num_filters=[4, 8])),
    ("ViT", dict(VISION_TRANSFORMER, mlp_dim=8)),
    (
        "Xception",
        dict(
            stackwise_conv_filters=[[4, 4], [8, 8]],
            stackwise_pooling=[True, False],
        ),
    ),
)


def operations(model, size):
    """Counts the operations in the graph that TensorFlow runs."""
    function = tf.function(lambda x: model(x, training=False))
    spec = tf.TensorSpec((1, size, size, 3))
    graph = function.get_concrete_function(spec).graph.as_graph_def()
    nodes = list(graph.node)
    for part in graph.library.function:
        nodes += part.node_def
    return collections.Counter(node.op for node in nodes)


class FamilyTest(TestCase):
    def check(self, model, size):
        """Checks and returns a smooth twin on the same weights."""
        before = operations(model, size)
        found = [name for _, name in activation_sites(model)]
        lines = []
        twin = convert_activations(
            model,
            share_weights=True,
            smooth_gates=True,
            remove_softmax=True,
            print_fn=lines.append,
        )
        replaced = [name for name in found if name in NOT_SMOOTH]
        self.assertLen(lines, len(replaced) + 1)
        left = {name for _, name in activation_sites(twin)}
        self.assertEmpty(left & NOT_SMOOTH)
        after = operations(twin, size)
        self.assertEqual([after[kind] for kind in KINKS], [0, 0, 0, 0])
        for kind in WORK:
            self.assertEqual(after[kind], before[kind], kind)
        self.assertEqual(
            {id(weight) for weight in twin.weights},
            {id(weight) for weight in model.weights},
        )
        return twin

    def check_application(self, name, size, activation):
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(size, size, 3), classes=10
        )
        twin = self.check(model, size)
        SATModel(twin, value_range=(0, 255))
        images = np.random.default_rng(0).uniform(0, 255, (2, size, size, 3))
        if activation is not None:
            same = convert_activations(
                model,
                getattr(keras.activations, activation),
                share_weights=True,
                replace="all",
            )
            self.assert_same_bits(same(images), model(images))
        path = f"{self.get_temp_dir()}/{name}.keras"
        twin.save(path)
        loaded = keras.saving.load_model(path)
        self.assert_same_bits(loaded(images), twin(images))

    @parameterized.parameters(*APPLICATIONS)
    @pytest.mark.large
    def test_converts_the_families_of_keras(self, name, size, activation):
        self.check_application(name, size, activation)

    @parameterized.parameters(*LARGE_APPLICATIONS)
    @pytest.mark.large
    def test_converts_the_large_families(self, name, size, activation):
        self.check_application(name, size, activation)

    def check_cv(self, name, options):
        models = pytest.importorskip("keras_cv").models
        model = getattr(models, name)(
            input_shape=(64, 64, 3), include_rescaling=True, **options
        )
        self.check(model, 64)

    @parameterized.parameters(*KERAS_CV)
    def test_converts_backbones_of_keras_cv(self, name, options):
        self.check_cv(name, options)

    @parameterized.parameters(*LARGE_KERAS_CV)
    @pytest.mark.large
    @pytest.mark.filterwarnings("ignore:.*softmax over axis")
    def test_converts_other_backbones_of_keras_cv(self, name, options):
        self.check_cv(name, options)

    def check_hub(self, name, options, head=None):
        models = pytest.importorskip("keras_hub").models
        shape = "input_shape" if name == "EfficientNet" else "image_shape"
        backbone = getattr(models, f"{name}Backbone")(
            **options, **{shape: (32, 32, 3)}
        )
        model = getattr(models, f"{name}ImageClassifier")(
            backbone, num_classes=5, **(head or {})
        )
        SATModel(self.check(model, 32))

    @parameterized.parameters(*KERAS_HUB)
    def test_converts_classifiers_of_keras_hub(self, name, options, head):
        self.check_hub(name, options, head)

    @parameterized.parameters(*LARGE_KERAS_HUB)
    @pytest.mark.large
    def test_converts_other_classifiers_of_keras_hub(self, name, options):
        self.check_hub(name, options)
