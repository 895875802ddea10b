"""Tests of the states of random numbers in files of a `SATModel`."""

import os

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.training.problems import WEAK
from tests.training.problems import dataset
from tests.training.problems import going_on

pytestmark = pytest.mark.numeric


class SeedStatesTest(TestCase):
    def noisy(self, **options):
        """Returns a model with noise in its attacks, network and twin."""

        def network():
            x = keras.Input((8, 8, 3))
            h = keras.layers.GaussianNoise(0.1)(x)
            h = keras.layers.Conv2D(4, 3, activation="silu")(h)
            h = keras.layers.BatchNormalization()(h)
            h = keras.layers.GlobalAveragePooling2D()(h)
            # Nested, as blocks of a network may be.
            h = keras.Sequential([keras.layers.Dropout(0.3)])(h)
            return keras.Model(x, keras.layers.Dense(5)(h))

        model = keras_sat.SATModel(
            network(),
            attack=WEAK,
            # A radius that changes the class of some images and not of others.
            eval_attack=WEAK.replace(epsilon=0.2, step_size=0.1),
            attack_model=network(),
            **options,
        )
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True))
        return model

    @parameterized.parameters(
        "keras_sat.load_model", "keras.saving.load_model", "load_weights"
    )
    @pytest.mark.large
    def test_all_noise_goes_on_where_it_was(self, how):
        _, images, labels = self.tiny_classifier()
        keras.utils.set_random_seed(1)
        model = self.noisy()
        name = "a.weights.h5" if how == "load_weights" else "a.keras"
        path = os.path.join(self.get_temp_dir(), name)
        with self.deterministic():
            model.fit(dataset(images, labels), verbose=0)
            if how == "load_weights":
                model.save_weights(path)
                loaded = self.noisy()
                loaded.load_weights(path)
            else:
                model.save(path)
                owner = keras_sat if "sat" in how else keras.saving
                loaded = owner.load_model(path)
            self.assert_same_bits(*going_on((model, loaded), images, labels))

    def test_weights_go_into_a_network_without_its_noise(self):
        _, images, _ = self.tiny_classifier()
        model = self.noisy()
        path = os.path.join(self.get_temp_dir(), "a.weights.h5")
        model.save_weights(path)
        x = keras.Input((8, 8, 3))
        h = keras.layers.Conv2D(4, 3, activation="silu")(x)
        h = keras.layers.BatchNormalization()(h)
        h = keras.layers.GlobalAveragePooling2D()(h)
        other = keras_sat.SATModel(keras.Model(x, keras.layers.Dense(5)(h)))
        with self.assertLogs("absl", level="WARNING") as logs:
            with self.assertWarnsRegex(UserWarning, "for optimizer"):
                other.load_weights(path)
        self.assertRegex(logs.output[0], "starts anew: there are 2 .* and 0 in")
        self.assertAllEqual(other(images), model(images))
        for name in ("seeds", "eval_seeds"):
            self.assertAllEqual(
                getattr(other, name).state, getattr(model, name).state
            )

    def test_files_from_before_states_of_noise_were_saved_are_loaded(self):
        path = FIXTURES / "sat_model_without_seeds.keras"
        loaded = keras_sat.load_model(path)
        for weight in loaded.model.get_weights():
            expected = np.linspace(0.5, 1, weight.size).reshape(weight.shape)
            self.assertAllClose(weight, expected, rtol=1e-6)
        self.assertEqual(int(loaded.optimizer.iterations), 2)
        images = np.linspace(0, 1, 64, dtype="float32").reshape(4, 4, 4, 1)
        before = [np.array(g.state) for g in (loaded.seeds, loaded.eval_seeds)]
        loaded.evaluate(images, np.arange(4) % 3, verbose=0)
        loaded.fit(images, np.arange(4) % 3, verbose=0)
        self.assertEqual(int(loaded.optimizer.iterations), 3)
        after = [np.array(g.state) for g in (loaded.seeds, loaded.eval_seeds)]
        self.assertNotAllEqual(before, after)
