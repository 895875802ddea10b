"""Tests of two models on the same variables."""

import os

import keras
import numpy as np
import pytest

import keras_sat
from keras_sat.weights import sharing
from tests.test_case import TestCase
from tests.training.problems import dataset
from tests.training.problems import network

pytestmark = pytest.mark.numeric


class SharingTest(TestCase):
    def test_the_twin_uses_and_keeps_the_weights_of_the_model(self):
        _, images, labels = self.tiny_classifier()
        model, twin = network("relu"), network("silu")
        sat = keras_sat.SATModel(model, attack_model=twin)
        self.assertLen(sat.trainable_variables, 6)
        sat.fit(dataset(images, labels), verbose=0)
        fresh = network("silu")
        fresh.set_weights(model.get_weights())
        self.assert_same_bits(twin(images), fresh(images))
        self.assertNotAllClose(twin(images), model(images))

    def test_the_weights_are_still_shared_after_loading(self):
        _, images, labels = self.tiny_classifier()
        sat = keras_sat.SATModel(network("relu"), attack_model=network("silu"))
        sat.fit(dataset(images, labels), verbose=0)
        path = os.path.join(self.get_temp_dir(), "model.keras")
        sat.save(path)
        loaded = keras_sat.load_model(path)
        self.assert_same_bits(loaded(images), sat(images))
        self.assert_same_bits(
            loaded.attack_model(images), sat.attack_model(images)
        )
        loaded.fit(dataset(images, labels), verbose=0)
        for one, two in zip(
            loaded.model.weights, loaded.attack_model.weights, strict=True
        ):
            self.assertIs(one, two)

    def test_a_twin_with_other_weights_is_refused(self):
        with self.assertRaisesRegex(
            ValueError,
            r"`attack_model` must have weights of the same shapes .*Received "
            r".*kernel \(4, 6\) for .*kernel \(4, 5\)",
        ):
            keras_sat.SATModel(network("relu"), attack_model=network("relu", 6))

    def test_weights_of_the_same_names_are_paired_in_any_order(self):
        def branches(order):
            x = keras.Input((3,))
            layers = {
                name: keras.layers.Dense(3, name=name) for name in ("a", "b")
            }
            parts = [layers[name](x) for name in order]
            return keras.Model(x, keras.layers.Add()(parts))

        model, source = branches("ba"), branches("ab")
        sharing.share_weights(model, source)
        for name in ("a", "b"):
            one, two = (m.get_layer(name).kernel for m in (model, source))
            self.assertIs(one, two)
        x = np.ones((2, 3), "float32")
        self.assert_same_up_to_rounding(model(x), source(x))

    def test_a_shared_variable_is_counted_once_and_seen_by_both(self):
        model, source = network("relu"), network("silu")
        sharing.share_weights(model, source)
        self.assertEqual(
            [id(w) for w in model.weights], [id(w) for w in source.weights]
        )
        source.set_weights([np.ones_like(w) for w in source.get_weights()])
        for weight in model.get_weights():
            self.assertAllEqual(weight, np.ones_like(weight))

    def test_another_number_of_weights_is_refused(self):
        x = keras.Input((8, 8, 3))
        h = keras.layers.Conv2D(4, 3)(x)
        smaller = keras.Model(x, keras.layers.GlobalAveragePooling2D()(h))
        before = smaller.weights[0]
        with self.assertRaisesRegex(
            ValueError, "`attack_model` must have .* Received 2 for 8 weights"
        ):
            sharing.share_weights(smaller, network("relu"))
        self.assertIs(smaller.weights[0], before)
