"""Tests of the loading of official checkpoints."""

import pathlib
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import models
from keras_sat.models import official_checkpoints
from tests.models import reference
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

RESNET = "resnet-tiny-silu"
EFFICIENTNET = "efficientnet-b0-w025-nc10"


def stored(name):
    """Returns the variables of a checkpoint."""
    reader = tf.train.load_checkpoint(str(reference.checkpoint(name)))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names}


class NamesTest(TestCase):
    @parameterized.parameters(
        (reference.tiny_resnet, RESNET),
        (reference.tiny_resnext, "resnext-tiny-silu"),
        (reference.tiny_efficientnet, EFFICIENTNET),
    )
    def test_each_variable_of_the_file_is_one_weight(self, model, name):
        names = list(official_checkpoints.variable_names(model()).values())
        expected = {
            re.sub("^efficientnet-b0/", "", name) for name in stored(name)
        }
        self.assertLen(names, len(set(names)))
        self.assertEqual(set(names), expected)

    @parameterized.parameters(
        lambda: models.resnet(18, input_shape=(32, 32, 3)),
        lambda: models.wide_resnet(10, 1),
        lambda: models.scaled_efficientnet(
            activation="smoothrelu", stages=((1, 3, 1, 1, 16),)
        ),
        lambda: None,
    )
    def test_refuses_models_that_the_authors_do_not_have(self, model):
        with self.assertRaisesRegex(
            ValueError, "`model` must be a bottleneck ResNet.*Received: model="
        ):
            official_checkpoints.variable_names(model())


class LoadOfficialCheckpointTest(TestCase):
    def build(self, repeats=(1, 2, 1, 1), activation="silu", **options):
        return models.residual_network(
            repeats, (4, 8, 16, 32), activation, 1000, (64, 64, 3), **options
        )

    def write(self, variables):
        """Writes a checkpoint with these variables."""
        prefix = f"{self.get_temp_dir()}/model.ckpt"
        names = sorted(variables)
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(variables[name]) for name in names],
        )
        return prefix

    def test_each_weight_gets_its_variable(self):
        model = self.build(activation="smoothrelu")
        name = "resnet-tiny-smoothrelu"
        official_checkpoints.load_official_checkpoint(
            model, reference.checkpoint(name)
        )
        variables = stored(name)
        names = official_checkpoints.variable_names(model)
        self.assertLen(names, 118)
        for layer in model.layers:
            for weight in layer.weights:
                expected = variables[names[layer.name, weight.name]]
                if layer.name == "conv0":
                    expected = expected[:, :, ::-1]
                self.assertAllEqual(weight, expected.reshape(weight.shape))

    def test_resnets_then_take_rgb_images(self):
        model = self.build()
        official_checkpoints.load_official_checkpoint(
            model, reference.checkpoint(RESNET)
        )
        expected = reference.arrays("resnet_tiny_silu_64")
        images, gradient = expected["images"], expected["grad_preprocessed"]
        logits, found = reference.input_gradient(
            model, images[..., ::-1], expected["labels"]
        )
        self.assertAllClose(logits, expected["logits"], rtol=1e-4, atol=1e-4)
        error = reference.relative_error(found, 2 * gradient[..., ::-1])
        self.assertLess(error, 1e-4)

    @parameterized.parameters(False, True)
    def test_an_efficientnet_has_two_sets_of_weights(self, moving_averages):
        model = reference.tiny_efficientnet()
        official = stored(EFFICIENTNET)
        variables = {"global_step": np.int64(3)}
        for name, value in official.items():
            variables[name] = value + 0.5
            variables[f"{name}/ExponentialMovingAverage"] = value
        ignored = official_checkpoints.load_official_checkpoint(
            model, self.write(variables), moving_averages
        )
        self.assertLen(ignored, 312)
        self.assertIn("global_step", ignored)
        name = "efficientnet-b0/head/dense/bias"
        shift = 0.0 if moving_averages else 0.5
        self.assertAllEqual(
            model.get_layer("logits").bias, official[name] + shift
        )
        if moving_averages:
            expected = reference.arrays("efficientnet_tiny_w025_64")
            logits = model(expected["images"])
            self.assertAllClose(logits, expected["logits"], 1e-4, 1e-4)

    def test_refuses_averages_where_there_are_none(self):
        with self.assertRaisesRegex(ValueError, "102 differences: .* missing"):
            official_checkpoints.load_official_checkpoint(
                self.build(), reference.checkpoint(RESNET), True
            )

    def test_names_what_it_ignores(self):
        variables = stored(RESNET)
        left = {
            "global_step": np.int64(1),
            "learning_rate": np.float32(0.1),
            "conv0/W/Momentum": variables["conv0/W"],
        }
        ignored = official_checkpoints.load_official_checkpoint(
            self.build(), self.write({**variables, **left})
        )
        self.assertEqual(ignored, sorted(left))

    @parameterized.parameters(
        ({"repeats": (1, 1, 1, 1)}, "group1/block1/conv1/W is left"),
        ({"repeats": (1, 2, 2, 1)}, "group2/block1/conv1/W is missing"),
        ({"activation": "smoothrelu"}, "smoothrelu_beta is missing"),
        (
            {"cardinality": 4, "group_width": 32},
            r"conv1/W has the shape \(1, 1, 64, 4\), not \(1, 1, 64, 8\)",
        ),
        ({"stem": "small"}, r"W has the shape \(7, 7, 3, 64\), not \(3, 3"),
    )
    def test_refuses_another_model_and_changes_nothing(self, options, message):
        model = self.build(**options)
        before = model.get_weights()
        with self.assertRaisesRegex(
            ValueError,
            "`path` must be a checkpoint of a model like `model`. "
            f"Received: path=.*{message}",
        ):
            official_checkpoints.load_official_checkpoint(
                model, reference.checkpoint(RESNET)
            )
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    def test_refuses_the_file_of_the_other_family(self):
        with self.assertRaisesRegex(ValueError, "differences"):
            official_checkpoints.load_official_checkpoint(
                self.build(), reference.checkpoint(EFFICIENTNET)
            )

    @parameterized.parameters(
        "model.ckpt.data-00000-of-00001", "model.ckpt.index"
    )
    def test_recognises_a_truncated_file(self, part):
        folder = pathlib.Path(self.get_temp_dir()) / "copy"
        shutil.copytree(reference.checkpoint(RESNET).parent, folder)
        file = folder / part
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        model = self.build()
        before = model.get_weights()
        with self.assertRaisesRegex(
            ValueError, "`path` must be a complete TF1 checkpoint. Received"
        ):
            official_checkpoints.load_official_checkpoint(
                model, folder / "model.ckpt"
            )
        for old, new in zip(before, model.get_weights(), strict=True):
            self.assertAllEqual(old, new)

    @parameterized.parameters("nowhere/model.ckpt", "")
    def test_refuses_a_path_without_a_checkpoint(self, path):
        path = pathlib.Path(self.get_temp_dir()) / path
        with self.assertRaisesRegex(
            ValueError, "`path` must be a complete TF1 checkpoint. Received"
        ):
            official_checkpoints.load_official_checkpoint(self.build(), path)

    def test_refuses_what_is_no_path(self):
        with self.assertRaisesRegex(TypeError, "`path` must be a path.*=3"):
            official_checkpoints.load_official_checkpoint(self.build(), 3)
