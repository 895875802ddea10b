"""Tests of saving, loading and exporting a `SATModel`."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase
from tests.training.problems import WEAK
from tests.training.problems import dataset
from tests.training.problems import going_on

pytestmark = pytest.mark.numeric


class SavingTest(TestCase):
    @parameterized.parameters("model.keras", "model.weights.h5")
    def test_a_model_that_was_not_trained_is_saved_whole(self, name):
        inner, images, _ = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        path = os.path.join(self.get_temp_dir(), name)
        # Warnings of Keras, of an optimizer without state, are errors here.
        if name.endswith(".keras"):
            model.save(path)
            loaded = keras_sat.load_model(path)
        else:
            model.save_weights(path)
            loaded = keras_sat.SATModel(self.tiny_classifier(seed=1)[0])
            loaded.load_weights(path)
        self.assert_same_bits(loaded(images), model(images))

    @parameterized.product(
        optimizer=["auto", "adam", "averaging"],
        policy=["float32", "mixed_float16"],
    )
    def test_no_way_to_load_a_file_warns_of_its_optimizer(
        self, optimizer, policy
    ):
        if optimizer == "averaging":
            optimizer = keras.optimizers.AdamW(use_ema=True)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        inputs = keras.Input((8, 8, 3))
        keras.config.set_dtype_policy(policy)
        self.addCleanup(keras.config.set_dtype_policy, "float32")
        dense = keras.layers.Dense(5, dtype=policy)
        network = keras.Model(inputs, dense(keras.layers.Flatten()(inputs)))
        model = keras_sat.SATModel(network)
        model.compile(optimizer)
        model.save(path)
        # Warnings are errors here.
        for loaded in (
            keras_sat.load_classifier(path),
            keras_sat.load_model(path),
            keras.saving.load_model(path),
            keras.saving.load_model(path, compile=False),
        ):
            self.assert_same_bits(loaded.get_weights(), model.get_weights())

    @pytest.mark.large
    def test_save_and_load_give_the_same_object(self):
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(
            inner,
            attack=keras_sat.PGD(epsilon=0.07, norm="l2"),
            eval_attack=keras_sat.PGD(epsilon=0.03, restarts=2),
            objective=keras_sat.TRADES(beta=3.0),
        )
        model.compile("adam", weight_decay=0.25)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        with self.deterministic():
            model.fit(dataset(images, labels), verbose=0)
            model.save(path)
            loaded = keras_sat.load_model(path)
            self.assertIsInstance(loaded, keras_sat.SATModel)
            for name in ("attack", "eval_attack", "objective", "weight_decay"):
                self.assertEqual(getattr(loaded, name), getattr(model, name))
            self.assertAllEqual(loaded(images), model(images))
            self.assert_same_bits(*going_on((model, loaded), images, labels))

    def test_from_config_makes_what_get_config_described(self):
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(
            inner,
            attack=WEAK,
            objective=keras_sat.TRADES(beta=2.0),
            attack_model=keras.models.clone_model(inner),
            value_range=(-1, 1),
        )
        described = model.get_config()
        text = json.dumps(described)
        again = keras_sat.SATModel.from_config(described)
        self.assertEqual(json.dumps(described), text)
        self.assertEqual(json.dumps(again.get_config()), text)
        self.assertEqual(again.attack, model.attack)
        self.assertEqual(again.objective, model.objective)
        again.fit(images, labels, verbose=0)
        kernels = again.model.layers[1].kernel, again.attack_model.layers[1]
        self.assertIs(kernels[0], kernels[1].kernel)
        self.assertNotAllClose(kernels[0], inner.layers[1].kernel)

    def test_weights_can_be_saved_alone(self):
        path = os.path.join(self.get_temp_dir(), "a.weights.h5")
        inner, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(inner)
        model.fit(dataset(images, labels), verbose=0)
        model.save_weights(path)
        other = keras_sat.SATModel(self.tiny_classifier()[0])
        self.assertNotAllClose(model(images), other(images))
        other.load_weights(path)
        self.assert_same_bits(model(images), other(images))

    @pytest.mark.large
    def test_a_process_with_only_tensorflow_can_serve_the_export(self):
        inner, images, _ = self.tiny_classifier()
        folder = self.get_temp_dir()
        path = os.path.join(folder, "exported")
        keras_sat.SATModel(inner).export(path, verbose=False)
        np.save(os.path.join(folder, "images.npy"), images)
        script = (
            "import sys, numpy, tensorflow as tf\n"
            "sys.modules['keras'] = sys.modules['keras_sat'] = None\n"
            f"model = tf.saved_model.load({path!r})\n"
            f"images = numpy.load({folder!r} + '/images.npy')\n"
            "one = model.serve(images[:1]).numpy()\n"
            "logits = model.serve(images).numpy()\n"
            f"numpy.savez({folder!r} + '/logits.npz', logits, one)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=True, cwd=folder)
        with np.load(os.path.join(folder, "logits.npz")) as file:
            logits, one = file["arr_0"], file["arr_1"]
        self.assert_same_up_to_rounding(logits, inner(images))
        self.assert_same_up_to_rounding(one, logits[:1])
