"""Tests of the example that imports an official checkpoint."""

import json
import pathlib
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver

from examples import import_official_checkpoint as example
from keras_sat import models
from keras_sat.preprocessing import evaluation_view
from tests.models import reference
from tests.test_case import TestCase
from tests.test_case import roundings

pytestmark = pytest.mark.numeric


class ImportOfficialCheckpointTest(TestCase):
    def network(self, variant, activation, input_shape):
        return models.residual_network(
            (1, 2, 1, 1), (4, 8, 16, 32), activation, 1000, input_shape
        )

    def run_example(self, **options):
        """Runs the example and returns the results that it printed."""
        example.FLAGS.mark_as_parsed()
        networks = mock.patch.dict(example.NETWORKS, resnet=self.network)
        with networks, flagsaver.flagsaver(**options):
            with mock.patch("builtins.print") as printed:
                example.main([])
        return json.loads(printed.call_args.args[0])

    @pytest.mark.large
    def test_saves_and_measures_the_model_of_the_checkpoint(self):
        folder = pathlib.Path(self.get_temp_dir())
        image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
        file = tf.io.encode_png(image).numpy()
        seen = evaluation_view.evaluation_image(file, 64, 64)[tf.newaxis] / 255
        logits = reference.tiny_resnet()(seen[..., ::-1])
        predicted = int(np.argmax(logits))
        for number in range(predicted + 2):
            (folder / "images" / f"{number:04}").mkdir(parents=True)
        for number in (predicted, predicted + 1):
            (folder / "images" / f"{number:04}" / "0.png").write_bytes(file)
        results = self.run_example(
            checkpoint=str(reference.checkpoint("resnet-tiny-silu")),
            images=str(folder / "images"),
            image_size=64,
            pgd_steps=2,
            epsilon=0.0001,
            step_size=0.0001,
            output=str(folder / "model.keras"),
        )
        model = keras.saving.load_model(folder / "model.keras")
        # The first convolution adds its channels in another order.
        self.assert_same_up_to_rounding(model(seen), logits, roundings(model))
        self.assertEqual(results["ignored_variables"], [])
        self.assertEqual(results["clean_accuracy"], 0.5)
        self.assertEqual(results["robust_accuracy"], 0.5)
