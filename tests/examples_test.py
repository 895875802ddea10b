"""Runs the programs in `examples/` as a user would, on small data sets."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import keras
import numpy as np
import pytest
import skimage
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import keras_sat
from tests import photographs
from tests import processes
from tests.test_case import TestCase
from tests.test_case import logits_of
from tests.test_case import needs_xla
from tests.test_case import precision
from tests.test_case import roundings

ROOT = pathlib.Path(__file__).parent.parent
# Photographs in the wheel of scikit-image.
COLORED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
GRAY = ("brick.png", "camera.png", "coins.png", "grass.png", "moon.png")
TINY_L1 = {
    "variant": "l1",
    "enhanced": True,
    "network_options": {"width_coefficient": 0.1, "depth_coefficient": 0.1},
    "image_size": 32,
    "batch_size": 12,
}


def start(name, *before, environment=None, **flags):
    """Starts a process that runs an example."""
    written = [f"--{flag}={value}" for flag, value in flags.items()]
    return processes.start_python(
        (*before, f"examples/{name}.py", *written),
        os.environ | (environment or {}),
        errors=subprocess.STDOUT,
    )


class ExamplesTest(TestCase):
    def finish(self, process):
        """Waits for the end of a process, and returns what it has printed."""
        try:
            output, _ = process.communicate(timeout=600)
        finally:
            process.kill()
        self.assertEqual(process.returncode, 0, output[-4000:])
        return output

    def check_results(self, directory, images, classes):
        """Checks that the results are there, and agree with each other."""
        report = keras_sat.RobustnessReport.load(directory)
        self.assertEqual(report.num_images, images)
        self.assertLen(report.attacks, 4)
        model = keras_sat.load_model(directory / "best.keras")
        size = model.model.input_shape[1]
        x = np.random.default_rng(0).uniform(size=(2, size, size, 3))
        x = tf.constant(x, tf.float32)
        served = tf.saved_model.load(str(directory / "saved_model"))
        logits = served.signatures["serving_default"](images=x)["logits"]
        self.assertEqual(logits.shape, (2, classes))
        # A network in mixed precision is exported in single precision.
        self.assert_same_up_to_rounding(
            logits,
            logits_of(model.model, x),
            roundings(model.model),
            dtype=precision(model.model),
        )
        best = json.loads((directory / "best.json").read_text())
        path = directory / "log.csv"
        log = np.genfromtxt(path, delimiter=",", names=True, ndmin=1)
        self.assertAllClose(
            best["val_robust_accuracy"], log["val_robust_accuracy"].max()
        )
        self.assertEqual(
            best["epoch"], 1 + np.argmax(log["val_robust_accuracy"])
        )

    def end_after_an_epoch(self, process, directory, how=signal.SIGKILL):
        """Kills a training after its first checkpoint; returns its output."""
        deadline = time.monotonic() + 300
        while not list(directory.glob("checkpoint-*.npz")):
            self.assertIsNone(process.poll(), "It ended too early.")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        process.send_signal(how)
        return process.communicate(timeout=300)[0]

    @pytest.mark.large
    def test_ctrl_c_ends_a_training_in_words(self):
        results = pathlib.Path(self.get_temp_dir()) / "new"
        flags = {"epochs": 200, "steps": 1, "output_dir": results}
        process = start("train_digits", **flags)
        folder = results / "checkpoints" / "relu-0"
        output = self.end_after_an_epoch(process, folder, signal.SIGINT)
        self.assertEqual(process.returncode, 130, output)
        self.assertNotIn("Traceback", output)
        for words in (
            "Training is saved after this step",
            "SIGINT: training is saved at epoch",
            "Interrupted. The same command goes on from what is saved:",
            "examples/train_digits.py --epochs=200 --steps=1 ",
        ):
            self.assertIn(words, output)
        # No lock is left.
        self.assertEmpty(list(results.rglob(".*")))

    @pytest.mark.large
    def test_a_preset_is_trained_measured_and_written_though_killed(self):
        results = pathlib.Path(self.get_temp_dir()) / "results"
        flags = {"preset": "digits", "epochs": 2, "report_images": 8}
        flags["output_dir"] = results
        process = start("train_preset", **flags)
        self.end_after_an_epoch(process, results / "checkpoints")
        output = self.finish(start("train_preset", **flags))
        self.assertNotIn("Epoch 1/2", output)
        folder = results / "resnet_silu_digits"
        model = keras_sat.load_preset(folder)
        best = keras_sat.load_model(results / "best.keras")
        self.assert_same_bits(model.get_weights(), best.model.get_weights())
        card = keras_sat.pretrained.PresetCard.parse(
            (folder / "card.json").read_text("utf-8")
        )
        self.assertEqual(card.num_images, 8)
        self.assertEqual(card.recipe["epochs"], 2)
        self.assertIn("--epochs=2 --report_images=8", card.command)
        self.assertStartsWith(card.limits[0], "AutoAttack was made on the fir")

    def train_and_kill_imagenet(self, **flags):
        """Trains for two epochs, with a kill in the second.

        Returns:
            `pathlib.Path` of the results.
        """
        root = pathlib.Path(self.get_temp_dir())
        photographs.prepare_imagenet_layout(root / "data")
        flags |= {
            "data_dir": root / "data",
            "dataset": "imagenet_layout",
            "output_dir": root / "results",
            "report_images": 2,
        }
        checkpoints = flags.get("resume_dir", root / "results" / "checkpoints")
        process = start("train_imagenet", **flags)
        self.end_after_an_epoch(process, checkpoints)
        output = self.finish(start("train_imagenet", **flags))
        self.assertNotIn("Epoch 1/2", output)
        self.assertIn("Epoch 2/2", output)
        self.assertIn("Robustness of 2 images", output)
        return root / "results"

    @pytest.mark.large
    def test_efficientnet_l1_learns_in_mixed_precision_though_killed(self):
        changes = TINY_L1 | {"epochs": 2}
        half = "float16" if needs_xla("bfloat16") else "bfloat16"
        results = self.train_and_kill_imagenet(
            recipe="imagenet_efficientnet",
            changes=json.dumps(changes),
            mixed_precision=f"mixed_{half}",
            tensorboard=True,
        )
        self.check_results(results, images=2, classes=2)
        pictures = results / "tensorboard"
        self.assertLen(list(pictures.glob("*.png")), 2)
        self.assertNotEmpty(list(pictures.glob("train/*")))

    @pytest.mark.large
    def test_a_resnet_does_so(self):
        changes = {"image_size": 32, "batch_size": 12, "epochs": 2}
        results = self.train_and_kill_imagenet(
            model="resnet18", changes=json.dumps(changes)
        )
        self.check_results(results, images=2, classes=2)

    @pytest.mark.large
    def test_cifar10_learns_a_recipe(self):
        changes = {
            "network": "wide_resnet10_1",
            "network_options": {},
            "batch_size": 8,
            "epochs": 1,
            "steps": 2,
        }
        results = pathlib.Path(self.get_temp_dir())
        process = start(
            "train_cifar10",
            "-m",
            "tests.programs.mock_data",
            changes=json.dumps(changes),
            report_images=4,
            output_dir=results,
        )
        self.assertIn("Robustness of 4 images", self.finish(process))
        self.check_results(results, images=4, classes=10)

    def write_photographs(self):
        """Writes photographs of two classes, and a broken file among them."""
        folder = pathlib.Path(self.get_temp_dir()) / "photos"
        pictures = pathlib.Path(skimage.__file__).parent / "data"
        for name, files in (("colored", COLORED), ("gray", GRAY)):
            (folder / name).mkdir(parents=True)
            for file in files:
                shutil.copy(pictures / file, folder / name)
        for i, image in enumerate(load_sample_images().images):
            Image.fromarray(image).save(folder / "colored" / f"{i}.webp")
        (folder / "gray" / "broken.jpg").write_bytes(b"not an image")
        return folder

    def start_on_photographs(self, folder, results, **options):
        return start(
            "train_image_folder",
            train_dir=folder,
            test_dir=folder,
            model="wide_resnet10_1",
            image_size=24,
            corrupt="skip",
            output_dir=results,
            **options,
        )

    @pytest.mark.large
    def test_a_folder_of_photographs_is_learned(self):
        folder = self.write_photographs()
        results = folder.parent / "results"
        process = self.start_on_photographs(
            folder, results, batch_size=5, epochs=2
        )
        output = self.finish(process)
        self.assertIn("Robustness of 11 images", output)
        self.assertRegex(output, "Skipped an image.*gray/broken.jpg")
        self.check_results(results, images=11, classes=2)
        self.assertLen(list((results / "images").iterdir()), 2)

    @pytest.mark.large
    def test_a_pretrained_network_learns_a_folder_after_a_kill(self):
        folder = pathlib.Path(self.get_temp_dir())
        network = folder / "network.keras"
        layers = [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7, activation="softmax"),
        ]
        keras.Sequential([keras.Input((24, 24, 3)), *layers]).save(network)
        results = folder / "results"
        flags = {
            "network": network,
            "data_dir": photographs.write_folder(folder / "photos"),
            "output_dir": results,
            "batch_size": 4,
            "epochs": 1,
            "head_epochs": 2,
            "report_images": 4,
        }
        process = start("finetune_image_folder", **flags)
        checkpoints = results / "checkpoints" / "head"
        self.end_after_an_epoch(process, checkpoints)
        output = self.finish(start("finetune_image_folder", **flags))
        self.assertIn(str(checkpoints), output)
        self.assertIn("Robustness of 4 images", output)
        self.check_results(results, images=4, classes=2)

    @pytest.mark.large
    def test_two_workers_learn_the_photographs(self):
        folder = self.write_photographs()
        results = folder.parent / "results"
        workers = [
            self.start_on_photographs(
                folder,
                results,
                batch_size=4,
                epochs=2,
                report_images=4,
                strategy="workers",
                environment=environment,
            )
            for environment in processes.environments()
        ]
        outputs = [self.finish(worker) for worker in workers]
        tables = [
            output[output.index("Robustness of 4 ") : output.index("\nseed 0")]
            for output in outputs
        ]
        self.assertEqual(*tables)
        self.check_results(results, images=4, classes=2)

    @pytest.mark.large
    def test_two_workers_learn_the_digits(self):
        folder = pathlib.Path(self.get_temp_dir())
        flags = {"epochs": 1, "seeds": 1, "steps": 1, "strategy": "workers"}
        workers = [
            start(
                "train_digits",
                environment=environment,
                output_dir=folder / "results",
                **flags,
            )
            for environment in processes.environments()
        ]
        outputs = [self.finish(worker) for worker in workers]
        tables = [output.split("activation")[-1] for output in outputs]
        tables = [table.split("Written")[0] for table in tables]
        self.assertEqual(*tables)
        results = json.loads((folder / "results/results.json").read_text())
        for runs in results["accuracy"].values():
            self.assertGreater(runs[0]["clean"], 0.2)
        model = keras_sat.load_model(folder / "results" / "model.keras")
        self.assertEqual(model.model.output_shape, (None, 10))

    @pytest.mark.large
    def test_activations_are_drawn(self):
        path = pathlib.Path(self.get_temp_dir()) / "a" / "b.png"
        names = "relu,smoothrelu"
        process = start("plot_activations", activations=names, path=path)
        self.assertIn(str(path), self.finish(process))
        with Image.open(path) as picture:
            colors = picture.convert("RGB").getcolors(2**20)
        self.assertGreater(len(colors), 10)


if __name__ == "__main__":
    tf.test.main()
