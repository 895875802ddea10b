"""Runs the example that imports weights of PyTorch."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import keras_sat
from tests.test_case import FIXTURES
from tests.test_case import TestCase
from tests.torch_weights import definitions
from tests.torch_weights import torch_files

pytestmark = pytest.mark.numeric

ROOT = pathlib.Path(keras_sat.__file__).parents[1]


class ImportTorchCheckpointTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.checkpoint = self.folder / "weights.pth"

    def run_example(self, **options):
        """Runs the example in a process and returns what it printed."""
        # Not imported: two programs with the flag `--checkpoint` cannot be
        # imported by one process.
        flags = {"checkpoint": self.checkpoint} | options
        result = subprocess.run(
            [
                sys.executable,
                ROOT / "examples" / "import_torch_checkpoint.py",
                *(f"--{flag}={value}" for flag, value in flags.items()),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])
        return result.stdout

    @pytest.mark.large
    def test_a_network_of_a_user_is_measured_and_saved(self):
        self.checkpoint.write_bytes(torch_files.real_old())
        layers, output = self.folder / "a.keras", self.folder / "b.keras"
        torch_files.real_network().save(layers)
        images = FIXTURES / "fashion_mnist_convex.npz"
        printed = self.run_example(
            model=str(layers),
            images=str(images),
            attacks="apgd-ce",
            epsilon=0.1,
            reported="81.64, 67.97",
            output=str(output),
        )
        self.assertRegex(printed, "clean *100.0")
        self.assertIn("Reported elsewhere: 81.64, 67.97", printed)
        with np.load(images) as file:
            inputs, expected = file["images"] / np.float32(255), file["logits"]
        found = keras.saving.load_model(output)(inputs)
        self.assertAllClose(found, expected, rtol=0, atol=2e-5)

    @pytest.mark.large
    def test_a_network_of_robustbench_is_measured_on_a_folder(self):
        name = "dm_preact_resnet18_silu"
        torch_files.save(self.checkpoint, definitions.state_dict(name))
        image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), "uint8")
        for number in range(10):
            folder = self.folder / "images" / str(number)
            folder.mkdir(parents=True)
            Image.fromarray(image).save(folder / "0.png")
        printed = self.run_example(
            robustbench="Rebuffi2021Fixing_R18_ddpm",
            images=str(self.folder / "images"),
        )
        self.assertRegex(printed, "clean")
        self.assertIn("Reported elsewhere: not given", printed)

    @pytest.mark.large
    def test_a_network_of_this_package_is_imported(self):
        name = "preact_resnet18"
        torch_files.save(self.checkpoint, {"net": definitions.state_dict(name)})
        output = self.folder / "a.keras"
        self.run_example(
            network=name,
            options=(
                '{"activation": "relu", "final_normalization": false, '
                '"shortcut": "input", "normalization": [0.0, 1.0]}'
            ),
            output=str(output),
        )
        model = keras_sat.load_classifier(output)
        expected = np.array(definitions.reference(name)["logits"])
        error = np.abs(model(definitions.images(name)) - expected).max()
        self.assertLess(error, 1e-4 * np.std(expected))
