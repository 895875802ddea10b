"""Tests of the folders of presets: written whole, and read with suspicion."""

import json
import os
import pathlib
import shutil
from unittest import mock

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from keras_sat import files
from keras_sat.pretrained import folders
from tests.evaluation import sample_reports
from tests.test_case import TestCase

STATED = {
    "summary": "Noise.",
    "data": "Random numbers | of NumPy.",
    "data_license": "None.",
    "recipe": keras_sat.recipes.cifar10(),
    "command": "python noise.py",
    "seeds": {"training": 3},
    "machine": "A desk.",
    "date": "2026-11-28",
    "limits": ["It knows nothing."],
    "class_names": list("abcdefgh"),
}


def small_network(channels=3, activation="silu"):
    """A network for the 8 classes of `sample_reports.report`."""
    return keras_sat.models.residual_network(
        repeats=(1,),
        filters=(4,),
        activation=activation,
        num_classes=8,
        input_shape=(6, 6, channels),
        stem="small",
        stem_filters=4,
        block="basic",
    )


class FoldersTest(TestCase):
    def setUp(self):
        super().setUp()
        keras.utils.set_random_seed(1)
        self.root = pathlib.Path(self.get_temp_dir())
        self.folder = self.root / "around" / "noise"
        self.network = small_network()
        self.report = sample_reports.full_report()
        self.images = np.random.default_rng(0).uniform(size=(5, 6, 6, 3))

    def save(self, model=None, card=None, **options):
        return keras_sat.save_preset(
            model or self.network, self.folder, self.report, card, **options
        )

    def logits(self, model):
        return np.asarray(model(self.images.astype("float32")))

    def accept(self):
        """Lets the card have the hash of the network that is there now."""
        path = self.folder / "card.json"
        content = json.loads(path.read_text())
        content["sha256"] = folders._sha256(self.folder / "model.keras")
        path.write_text(json.dumps(content))

    def refused(self, words):
        with self.assertRaisesRegex(ValueError, words) as caught:
            keras_sat.load_preset(self.folder)
        self.assertStartsWith(str(caught.exception), "`name_or_folder` must ")


class RoundTripTest(FoldersTest):
    def test_the_network_comes_back_to_the_bit(self):
        for variable in self.network.variables:
            variable.assign(np.random.uniform(0.5, 2, variable.shape))
        expected = self.logits(self.network)
        card = self.save(card=STATED)
        keras.utils.set_random_seed(2)
        loaded = keras_sat.load_preset(self.folder)
        self.assertAllEqual(self.logits(loaded), expected)
        self.assert_same_bits(loaded.get_weights(), self.network.get_weights())
        self.assertEqual(card.parameters, self.network.count_params())

    def test_the_network_of_a_trained_model_is_written_alone(self):
        model = keras_sat.SATModel(self.network, attack=keras_sat.FGSM())
        model.compile(keras.optimizers.SGD(0.5, momentum=0.9))
        labels = np.arange(5) % 8
        model.fit(self.images.astype("float32"), labels, verbose=0)
        self.save(model)
        loaded = keras_sat.load_preset(str(self.folder))
        self.assertAllEqual(self.logits(loaded), self.logits(self.network))
        self.assertLen(loaded.variables, len(self.network.variables))

    def test_a_compiled_network_leaves_its_optimizer_behind(self):
        self.save()
        size = (self.folder / "model.keras").stat().st_size
        self.network.compile("adam", "mse")
        self.network.optimizer.build(self.network.trainable_variables)
        self.save(overwrite=True)
        found = (self.folder / "model.keras").stat().st_size
        self.assertEqual(found, size)

    def test_the_card_and_the_report_come_back(self):
        card = self.save(card=STATED)
        self.assertEqual(folders.read_card(self.folder), card)
        self.assertEqual(card.name, "noise")
        self.assertEqual(card.image_shape, (6, 6, 3))
        self.assertEqual(card.recipe["epochs"], 110)
        self.assertEqual(card.limits, ("It knows nothing.",))
        for name in ("clean_accuracy", "robust_accuracy", "num_images"):
            self.assertEqual(getattr(card, name), getattr(self.report, name))
        report = keras_sat.RobustnessReport.load(self.folder)
        self.assertAllEqual(report.outcomes, self.report.outcomes)
        self.assertIsNone(report.extremes)
        page = (self.folder / "card.md").read_text()
        for words in ("# noise", "python noise.py", "- It knows nothing.", "A"):
            self.assertIn(words, page)

    def test_a_model_for_another_range_of_pixels_is_refused(self):
        model = keras_sat.SATModel(self.network, value_range=(0, 255))
        with self.assertRaisesRegex(ValueError, r"take pixels in \[0, 1\]"):
            self.save(model)

    @parameterized.parameters("smoothrelu", "squareplus")
    def test_what_this_process_has_registered_is_loaded(self, activation):
        self.network = small_network(activation=activation)
        self.save()
        loaded = keras_sat.load_preset(self.folder)
        self.assertAllEqual(self.logits(loaded), self.logits(self.network))

    def test_networks_of_all_kinds_of_parts_are_loaded(self):
        inner = keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                keras.layers.Normalization(mean=0.5, variance=0.1),
                keras.layers.Conv2D(
                    4, 3, activation="gelu", kernel_regularizer="l2"
                ),
                keras.layers.LeakyReLU(),
                keras.layers.Activation(keras.ops.tanh),
            ]
        )
        inputs = keras.Input((6, 6, 3))
        x = keras.ops.concatenate([inner(inputs)[:, ::2, ..., 1:]] * 2)
        x = keras.ops.relu(x) * np.float32(2) + 1
        x = keras.layers.Dense(8, kernel_constraint="unit_norm")(
            keras.layers.Flatten()(x)
        )
        self.network = keras.Model(inputs, x)
        self.save()
        loaded = keras_sat.load_preset(self.folder)
        self.assertAllEqual(self.logits(loaded), self.logits(self.network))


class WritingTest(FoldersTest):
    def test_a_preset_is_replaced_only_if_asked(self):
        self.save()
        before = (self.folder / "card.json").read_bytes()
        with self.assertRaisesRegex(ValueError, "unless `overwrite`"):
            self.save(card=STATED)
        self.assertEqual((self.folder / "card.json").read_bytes(), before)
        self.save(card=STATED, overwrite=True)
        self.assertEqual(folders.read_card(self.folder).machine, "A desk.")

    def test_other_folders_are_never_replaced(self):
        self.folder.mkdir(parents=True)
        (self.folder / "thesis.tex").touch()
        with self.assertRaisesRegex(ValueError, "new, or that of a preset"):
            self.save(overwrite=True)
        self.assertEqual(os.listdir(self.folder), ["thesis.tex"])

    @parameterized.parameters("model.keras", "card.md", "report.json")
    def test_a_full_disk_leaves_the_older_preset(self, name):
        self.save()
        expected = self.logits(self.network)
        replacing = files.replacing

        def full(path, extension=""):
            if str(path).endswith(name):
                raise OSError("No space left on device")
            return replacing(path, extension)

        other = small_network()
        with mock.patch.object(files, "replacing", full):
            with self.assertRaisesRegex(OSError, "No space"):
                self.save(other, overwrite=True)
        self.assertEqual(os.listdir(self.folder.parent), ["noise"])
        loaded = keras_sat.load_preset(self.folder)
        self.assertAllEqual(self.logits(loaded), expected)

    def test_a_first_preset_that_fails_leaves_nothing(self):
        with mock.patch.object(folders, "move", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.save()
        self.assertEqual(os.listdir(self.folder.parent), [])

    def test_what_a_killed_process_has_left_is_put_right(self):
        self.save()
        # Killed between the two renames of a second `save_preset`.
        old = self.folder.with_name("noise.7-0123abcd.old")
        shutil.move(self.folder, old)
        with mock.patch.object(folders, "move", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                self.save()
        self.assertEqual(os.listdir(self.folder.parent), ["noise"])
        keras_sat.load_preset(self.folder)

    def test_what_would_not_be_loaded_again_is_not_written(self):
        inputs = keras.Input((6, 6, 3))
        x = keras.layers.Lambda(lambda x: x + 1)(inputs)
        x = keras.layers.Dense(8)(keras.layers.Flatten()(x))
        with self.assertRaisesRegex(ValueError, "^`model` must .*'Lambda'"):
            self.save(keras.Model(inputs, x))
        self.assertEqual(os.listdir(self.folder.parent), [])

    def test_weights_that_are_no_numbers_are_not_written(self):
        variable = self.network.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.nan))
        with self.assertRaisesRegex(ValueError, "^`model` must have finite"):
            self.save()

    def test_a_report_has_to_be_one_of_this_model(self):
        with self.assertRaisesRegex(TypeError, "be a RobustnessReport"):
            keras_sat.save_preset(self.network, self.folder, {})
        labels = self.report.labels + 1
        self.report = sample_reports.report(labels=labels)
        with self.assertRaisesRegex(ValueError, "8 classes.*class 8"):
            self.save()

    @parameterized.parameters(
        ({"licence": "MIT"}, "the key 'licence'"),
        ({"data_licence": "MIT"}, r"Like it: \['data_license'"),
        ({"data": 3}, "`data` must be a str"),
        ({"seeds": {1, 2}}, "what JSON can hold"),
        ({"class_names": ["a"]}, "8 classes"),
        ("MIT", "be a dict"),
    )
    def test_a_card_that_cannot_be_is_refused(self, card, words):
        with self.assertRaisesRegex((TypeError, ValueError), words):
            self.save(card=card)


class DamagedTest(FoldersTest):
    def test_a_missing_file_is_named(self):
        self.save()
        (self.folder / "model.keras").unlink()
        self.refused("model.keras: FileNotFoundError")
        (self.folder / "card.json").unlink()
        self.refused("card.json: FileNotFoundError")

    def test_a_cut_or_changed_network_is_refused(self):
        self.save()
        path = self.folder / "model.keras"
        content = path.read_bytes()
        for damaged in (
            content[: len(content) // 2],
            content[:-1] + b"?",
            b"",
        ):
            path.write_bytes(damaged)
            self.refused("not the one of the card")
            # Whoever damages both is found out by what is missing.
            if damaged[-1:] != b"?":
                self.accept()
                self.refused("model.keras: ")
                self.accept()

    def test_the_network_of_another_preset_is_refused(self):
        self.save()
        other = self.root / "other"
        keras_sat.save_preset(small_network(1), other, self.report)
        shutil.copy(other / "model.keras", self.folder / "model.keras")
        self.refused("not the one of the card")
        self.accept()
        self.refused(r"image_shape \(6, 6, 1\) instead of \(6, 6, 3\)")

    @parameterized.parameters(
        ("{", "card.json: JSONDecodeError"),
        ("[]", "of another format"),
        ('{"format": "keras_sat preset 9"}', "of another format"),
        ('{"format": "keras_sat preset 1"}', "missing .* 'name'"),
    )
    def test_a_damaged_card_is_refused(self, text, words):
        self.save()
        (self.folder / "card.json").write_text(text)
        self.refused(words)

    @parameterized.parameters(
        ("robust_accuracy", 1.5, r"lie in \[0, 1\]"),
        ("robust_accuracy", "high", "be a number"),
        ("num_classes", 0, "be at least 1"),
        ("data", ["MNIST"], "be a str"),
        ("attacks", None, "not iterable"),
        ("class_names", ["a", "a"], "8 classes"),
    )
    def test_a_card_with_a_wrong_value_is_refused(self, name, value, words):
        self.save()
        path = self.folder / "card.json"
        content = json.loads(path.read_text()) | {name: value}
        path.write_text(json.dumps(content))
        self.refused(words)

    def test_weights_that_are_no_numbers_are_refused(self):
        self.save()
        path = self.folder / "model.keras"
        network = keras.saving.load_model(path)
        variable = network.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.inf))
        network.save(path)
        self.accept()
        self.refused("finite weights")
