"""Classifiers from files, and the example that evaluates them."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_sat
from keras_sat.loading import load_classifier
from keras_sat.report import RobustnessReport
from tests.attacks import problems
from tests.test_case import PASS
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

ROOT = pathlib.Path(__file__).parent.parent


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
