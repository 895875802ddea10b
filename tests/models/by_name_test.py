"""Tests of `keras_sat.models.get`."""

from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase

OPTIONS = {"num_classes": 4, "input_shape": (32, 32, 3)}


class NamedTest(TestCase):
    @parameterized.parameters(
        ("resnet18", lambda: keras_sat.resnet(18, **OPTIONS)),
        ("resnext50", lambda: keras_sat.resnext(50, **OPTIONS)),
        ("wide_resnet10_2", lambda: keras_sat.wide_resnet(10, 2, **OPTIONS)),
        ("preact_resnet18", lambda: keras_sat.preact_resnet(18, **OPTIONS)),
        ("convnext_tiny", lambda: keras_sat.convnext("tiny", **OPTIONS)),
        ("efficientnet_b1", lambda: keras_sat.efficientnet("b1", **OPTIONS)),
    )
    def test_a_name_is_a_call_of_the_builder(self, name, build):
        model, expected = keras_sat.models.get(name, **OPTIONS), build()
        self.assertEqual(model.name, expected.name)
        self.assertEqual(
            [v.shape for v in model.variables],
            [v.shape for v in expected.variables],
        )

    def test_options_reach_the_builder(self):
        model = keras_sat.models.get(
            "efficientnet_l1",
            activation="gelu",
            width_coefficient=0.1,
            depth_coefficient=0.1,
            **OPTIONS,
        )
        self.assertLess(model.count_params(), 100_000)
        self.assertEqual(
            {kind for _, kind in keras_sat.activation_sites(model)},
            {"gelu", "sigmoid"},
        )

    @parameterized.parameters("resnet", "resnet50v2", "vgg16", "efficientnet")
    def test_an_unknown_name_is_refused(self, name):
        with self.assertRaisesRegex(
            ValueError, f"`name` must be like 'resnet50'.*name='{name}'"
        ):
            keras_sat.models.get(name)

    def test_an_unknown_depth_is_refused_by_the_builder(self):
        with self.assertRaisesRegex(ValueError, "`depth` must be one of"):
            keras_sat.models.get("resnet51")
