"""Runs the programs in `examples/` on what others of them have written."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_sat
from tests import photographs
from tests.examples_test import start
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.torch_weights import torch_files

pytestmark = [pytest.mark.large, pytest.mark.numeric]


class TogetherTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def run_example(self, name, **flags):
        """Runs a program to its end, and returns what it printed."""
        process = start(name, **flags)
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, output[-4000:])
        self.assertNotIn("Skipping variable loading", output)
        return output

    def evaluated(self, model, dataset, **flags):
        """Returns the report of a `.keras` file or SavedModel."""
        results = self.folder / f"report-{len(list(self.folder.iterdir()))}"
        flags |= {"model": model, "dataset": dataset, "output_dir": results}
        self.run_example("evaluate_robustness", attacks="apgd-ce", **flags)
        return keras_sat.RobustnessReport.load(results)

    def exported(self, model, **flags):
        """Returns the folder to which a program exports a model."""
        output = self.folder / "served" / "1"
        flags |= {"model": model, "output": output, "overwrite": True}
        self.run_example("export_saved_model", **flags)
        return output

    def served_accuracy(self, saved_model, pictures):
        """Returns the accuracy of the answers that a server gives to files."""
        serve = tf.saved_model.load(str(saved_model)).signatures["serve_jpeg"]
        right = []
        for label, folder in enumerate(sorted(pictures.iterdir())):
            files = [path.read_bytes() for path in folder.iterdir()]
            answer = serve(image_bytes=tf.constant(files))
            right.extend(answer["top_classes"][:, 0].numpy() == label)
        return np.mean(right)

    def test_one_model_has_one_clean_accuracy(self):
        pictures = photographs.write_folder(self.folder / "pictures")
        results = self.folder / "run"
        self.run_example(
            "train_image_folder",
            train_dir=pictures,
            test_dir=pictures,
            model="wide_resnet10_1",
            channels=1,
            image_size=24,
            batch_size=8,
            epochs=1,
            output_dir=results,
        )
        expected = keras_sat.RobustnessReport.load(results)
        view = expected.settings["view"]
        self.assertEqual(view["crop"], "margin")
        served = self.exported(results / "best.keras", report=results)
        model = keras_sat.load_classifier(served)
        self.assertEqual(model.input_shape[1:], (24, 24, 1))
        for path in (results / "best.keras", results / "saved_model", served):
            report = self.evaluated(path, pictures)
            self.assertEqual(report.settings["view"], view)
            self.assertEqual(report.clean_accuracy, expected.clean_accuracy)
            if path.is_dir():
                accuracy = self.served_accuracy(path, pictures)
                self.assertEqual(accuracy, expected.clean_accuracy)

    def test_the_digits_stay_gray_to_the_end(self):
        results = self.folder / "digits"
        flags = {"epochs": 1, "seeds": 1, "steps": 1}
        self.run_example("train_digits", output_dir=results, **flags)
        with Image.open(results / "perturbations.png") as picture:
            # But for the names of the classes, which are green or red.
            pixels = np.asarray(picture.convert("RGB"), int)
        height = pixels.shape[0]
        lowest = pixels[2 * height // 3 :]
        self.assertAllEqual(lowest[..., 0], lowest[..., 1])
        self.assertAllEqual(lowest[..., 0], lowest[..., 2])
        reports = [
            self.evaluated(path, "digits", epsilon=0.15, batches=1)
            for path in (results / "model.keras", results / "saved_model")
        ]
        for report in reports:
            self.assertEqual(report.num_images, 128)
            self.assertEqual(report.clean_accuracy, reports[0].clean_accuracy)

    def test_an_imported_network_is_evaluated_and_exported(self):
        checkpoint = self.folder / "weights.pth"
        checkpoint.write_bytes(torch_files.real_old())
        layers, imported = self.folder / "a.keras", self.folder / "b.keras"
        # A file that `SATModel` saved has layers, too.
        keras_sat.SATModel(torch_files.real_network()).save(layers)
        self.run_example(
            "import_torch_checkpoint",
            checkpoint=checkpoint,
            model=layers,
            output=imported,
        )
        pictures = self.folder / "pictures"
        with np.load(FIXTURES / "fashion_mnist_convex.npz") as file:
            images, labels = file["images"][..., 0], file["labels"]
        for label in range(10):
            (pictures / str(label)).mkdir(parents=True)
        for number, (image, label) in enumerate(
            zip(images, labels, strict=True)
        ):
            path = pictures / str(label) / f"{number}.png"
            Image.fromarray(image).save(path)
        report = self.evaluated(imported, pictures, crop="centre", epsilon=0.1)
        self.assertEqual(report.clean_accuracy, 1.0)
        served = self.exported(imported, crop="centre")
        # The crop of the export is that of its evaluation.
        again = self.evaluated(served, pictures, epsilon=0.1)
        self.assertEqual(again.settings["view"]["crop"], "centre")
        self.assertEqual(again.clean_accuracy, 1.0)
        self.assertEqual(again.robust_accuracy, report.robust_accuracy)
        self.assertEqual(self.served_accuracy(served, pictures), 1.0)
