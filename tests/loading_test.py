"""Tests of classifiers from files, and of the example that evaluates them."""

import dataclasses
import functools
import os
import pathlib
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sat
from keras_sat import loading
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.loading import load_classifier
from tests.attacks import problems
from tests.test_case import PASS
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

ROOT = pathlib.Path(__file__).parent.parent


class OwnLayer(keras.layers.Layer):
    """A layer that returns what it is given."""

    def call(self, x):
        return x


def own_loss(labels, logits):
    del labels
    return -tf.reduce_max(logits, axis=-1)


def own_training_loss(labels, logits):
    del labels
    return tf.reduce_max(logits, axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnAttack(keras_sat.PGD):
    """PGD with a field of its own."""

    share: float = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnObjective(keras_sat.AdversarialTraining):
    """An objective with a field of its own."""

    share: float = 1.0


class LoadingTest(TestCase):
    def folder(self, name):
        return str(pathlib.Path(self.get_temp_dir()) / name)

    def test_a_file_and_a_saved_model_are_attacked_like_the_model(self):
        problem = problems.Linear(3)
        data = problem.images, problem.labels
        epsilon = problem.epsilons("l2")[1]
        expected = np.mean(problem.distances("l2") > epsilon)
        problem.model.save(self.folder("model.keras"))
        problem.model.export(self.folder("saved"), verbose=False)
        for name in ("model.keras", "saved"):
            model = load_classifier(self.folder(name))
            report = keras_sat.evaluate_robustness(
                model, data, "fab-t", epsilon, "l2", diagnose=False, verbose=0
            )
            self.assertEqual(report.robust_accuracy, expected)
            self.assertEqual(model.input_shape, (None, 4, 4, 1))

    def test_the_gradient_of_a_saved_model_is_that_of_the_model(self):
        model, images, labels = self.tiny_classifier()
        model.export(self.folder("saved"), verbose=False)
        saved = load_classifier(self.folder("saved"))
        attack = keras_sat.PGD(
            epsilon=0.5, step_size=0.1, steps=3, norm="l2", random_start=False
        )
        self.assert_same_up_to_rounding(
            attack(saved, images, labels),
            attack(model, images, labels),
            6 * PASS,
        )
        self.assertLen(saved.variables, len(model.variables))

    @pytest.mark.large
    def test_an_export_is_evaluated_with_all_diagnostics(self):
        problem = problems.Linear(3, value_range=(-1.0, 1.0))
        # Close to the border of the range, over which the random start leads.
        edge = np.where(problem.images > 0, 0.99, -0.99).astype("float32")
        labels = np.argmax(problem.model.predict(edge, verbose=0), axis=1)
        model = keras_sat.SATModel(problem.model, value_range=(-1.0, 1.0))
        names = ["ant", "bee", "cat"]
        model.export(self.folder("saved"), class_names=names, crop="none")
        saved = load_classifier(self.folder("saved"))
        self.assertEqual(saved.value_range, (-1.0, 1.0))
        self.assertEqual(saved.class_names, names)
        self.assertEqual(saved.view["crop"], "none")
        attack = keras_sat.PGD(epsilon=0.02, step_size=0.01, steps=3)
        for network in (model, saved):
            report = keras_sat.evaluate_robustness(
                network, edge, labels, attack, verbose=0
            )
            self.assertEqual(report.clean_accuracy, 1.0)
            self.assertEqual(set(report.curves), {"epsilon", "steps"})

    def test_of_other_saved_models_nothing_is_assumed(self):
        problem = problems.Linear(3)
        twice = tf.function(lambda images: 2 * problem.model(images))
        once = tf.function(problem.model)
        spec = tf.TensorSpec((None, 4, 4, 1), name="images")
        module = tf.Module()
        module.model = problem.model
        signatures = {
            "serve": twice.get_concrete_function(spec),
            "serving_default": once.get_concrete_function(spec),
        }
        tf.saved_model.save(module, self.folder("other"), signatures)
        saved = load_classifier(self.folder("other"))
        self.assertAllClose(
            saved(problem.images), problem.model(problem.images)
        )
        self.assertFalse(hasattr(saved, "value_range"))

    def save(self, name, **signatures):
        module = tf.Module()
        tf.saved_model.save(module, self.folder(name), signatures)
        return self.folder(name)

    def hdf5(self):
        model, _, _ = self.tiny_classifier()
        model.save_weights(self.folder("model.weights.h5"))
        return self.folder("model.weights.h5")

    def test_refuses_what_is_no_classifier(self):
        spec = tf.TensorSpec((None, 2), tf.float32)
        text = tf.TensorSpec((None,), tf.string)
        same = tf.function(lambda x: {"y": x})
        pair = tf.function(lambda x: {"a": x, "b": x})
        cases = {
            r"signatures \['other'\]": self.save(
                "other", other=same.get_concrete_function(spec)
            ),
            "takes.*string": self.save(
                "text", serving_default=same.get_concrete_function(text)
            ),
            r"returns \['a', 'b'\]": self.save(
                "pair", serving_default=pair.get_concrete_function(spec)
            ),
            "be a `.keras` file or the folder": self.get_temp_dir(),
            "be a `.keras` file": self.folder("missing"),
            "an HDF5 file. Read a whole model with keras.saving": self.hdf5(),
        }
        for message, path in cases.items():
            with self.subTest(message):
                with self.assertRaisesRegex(ValueError, message):
                    load_classifier(path)
                with self.assertRaisesRegex(ValueError, "`path` must be a"):
                    keras_sat.load_model(path)

    def save_model(self, layer=None, **options):
        x = keras.Input((8, 8, 3))
        h = keras.layers.Flatten()(x if layer is None else layer(x))
        inner = keras.Model(x, keras.layers.Dense(5)(h))
        compiled = options.pop("compiled", {})
        model = keras_sat.SATModel(inner, **options)
        model.compile(**compiled)
        model.save(self.folder("model.keras"))
        return model, self.folder("model.keras")

    def test_what_keras_does_not_know_is_passed_by_name(self):
        cases = {
            "OwnLayer": {"layer": OwnLayer()},
            "own_loss": {"attack": keras_sat.PGD(loss=own_loss)},
            "OwnAttack": {"eval_attack": OwnAttack()},
            "OwnObjective": {"objective": OwnObjective(share=0.5)},
            "own_training_loss": {
                "compiled": {"optimizer": "sgd", "loss": own_training_loss}
            },
        }
        images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
        for name, options in cases.items():
            with self.subTest(name):
                model, path = self.save_model(**options)
                with self.assertRaisesRegex(
                    ValueError,
                    f"`custom_objects` must hold '{name}', which the file .*"
                    f"Received: custom_objects=None. Pass custom_objects=.*"
                    f"{name}}}, or register it",
                ):
                    keras_sat.load_model(path)
                objects = {name: globals()[name]}
                loaded = keras_sat.load_model(path, custom_objects=objects)
                self.assertEqual(loaded.attack, model.attack)
                self.assertEqual(loaded.eval_attack, model.eval_attack)
                self.assertEqual(loaded.objective, model.objective)
                self.assertIs(type(loaded.loss), type(model.loss))
                classifier = load_classifier(path, custom_objects=objects)
                self.assertAllEqual(
                    classifier.predict(images, verbose=0),
                    model.predict(images, verbose=0),
                )

    def test_python_code_in_a_file_has_to_be_trusted(self):
        layer = keras.layers.Lambda(lambda x: 2 * x)
        model, path = self.save_model(layer)
        images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
        for load in (keras_sat.load_model, load_classifier):
            with self.assertRaisesRegex(
                ValueError,
                "`safe_mode` must be False to load .*Received: safe_mode=True. "
                "Pass safe_mode=False if you trust",
            ):
                load(path)
            self.assertAllEqual(
                load(path, safe_mode=False).predict(images, verbose=0),
                model.predict(images, verbose=0),
            )

    def test_a_function_without_a_name_is_refused_when_it_is_saved(self):
        own = functools.partial(own_training_loss)
        for name, options in {
            "`loss`": {"attack": keras_sat.PGD(loss=lambda y, z: z[:, 0])},
            "`loss and metrics`": {"compiled": {"metrics": [own]}},
        }.items():
            with self.assertRaisesRegex(TypeError, f"{name} must be.*Received"):
                self.save_model(**options)

    def test_a_loss_on_probabilities_in_a_file_is_refused(self):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        _, path = self.save_model(compiled={"optimizer": "sgd", "loss": loss})
        old, new = b'"from_logits": true', b'"from_logits": false'
        changed = self.folder("changed.keras")
        with (
            zipfile.ZipFile(path) as source,
            zipfile.ZipFile(changed, "w") as target,
        ):
            for name in source.namelist():
                content = source.read(name)
                if name == "config.json":
                    self.assertIn(old, content)
                    content = content.replace(old, new)
                target.writestr(name, content)
        with self.assertRaisesRegex(ValueError, "`loss` must be of logits"):
            keras_sat.load_model(changed)
        classifier = load_classifier(changed)
        self.assertEqual(classifier.model.output_shape, (None, 5))

    def test_a_network_need_not_be_a_classifier(self):
        inner, images, _ = self.tiny_classifier()
        body = keras.Model(inner.inputs[0], inner.get_layer("conv").output)
        for network in (body, keras_sat.SATModel(inner)):
            path = self.get_temp_dir() + "/network.keras"
            network.save(path)
            loaded = loading.load_network(path)
            self.assertIs(type(loaded), type(network))
            self.assert_same_bits(loaded(images), network(images))
        with self.assertRaisesRegex(ValueError, "`path` must be a `.keras` f"):
            loading.load_network("network.h5")
        with self.assertRaisesRegex(TypeError, "`path` must be a path"):
            loading.load_network(None)

    def test_another_kind_of_file_is_refused(self):
        folder = self.get_temp_dir()
        text = os.path.join(folder, "text.keras")
        with open(text, "w") as file:
            file.write("not a model")
        other = os.path.join(folder, "other.keras")
        self.tiny_classifier()[0].save(other)
        for path, received in (
            (text, "path='.*text.keras'"),
            (other, "a Functional in '.*other.keras'"),
            (folder + "/none.keras", "path='.*none.keras'"),
        ):
            with self.assertRaisesRegex(
                ValueError, "`path` must be a `.keras` file .*" + received
            ):
                keras_sat.load_model(path)

    @pytest.mark.large
    def test_the_example_evaluates_a_folder_of_images(self):
        generator = np.random.default_rng(0)
        inputs = keras.Input((8, 8, 3))
        # Class 0 is dark and class 1 bright.
        dense = keras.layers.Dense(2)
        mean = keras.layers.GlobalAveragePooling2D()(inputs)
        model = keras.Model(inputs, dense(mean))
        dense.set_weights([np.array([[-1, 1]] * 3), np.array([1.5, -1.5])])
        model.save(self.folder("model.keras"))
        for name, low in (("dark", 20), ("light", 160)):
            folder = pathlib.Path(self.folder("photos")) / name
            folder.mkdir(parents=True)
            for i in range(4):
                image = generator.integers(low, low + 60, (12, 10, 3))
                keras.utils.save_img(folder / f"{i}.png", image, scale=False)
        for epsilon, robust in ((0.1, 1.0), (0.45, 0.0)):
            output = self.folder(f"report{epsilon}")
            subprocess.run(
                [
                    sys.executable,
                    "examples/evaluate_robustness.py",
                    f"--model={self.folder('model.keras')}",
                    f"--dataset={self.folder('photos')}",
                    f"--epsilon={epsilon}",
                    "--attacks=apgd-ce,fab-t",
                    f"--output_dir={output}",
                ],
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
            report = RobustnessReport.load(output)
            self.assertEqual(report.num_images, 8)
            self.assertEqual(report.clean_accuracy, 1.0)
            self.assertEqual(report.robust_accuracy, robust)


if __name__ == "__main__":
    tf.test.main()
