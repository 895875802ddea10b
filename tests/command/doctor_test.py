"""Tests of what the command says of a machine."""

import configparser
import importlib.metadata
import os
import pathlib
import sys
from unittest import mock

import keras
import tensorflow as tf

import keras_sat
from keras_sat_command import doctor
from tests.command.programs import run
from tests.test_case import TestCase

REQUIREMENTS = {
    "keras_sat": [
        "keras>=3.10",
        'matplotlib; extra == "plots"',
        'nowhere-to-be-found>=1; extra == "plots"',
        "tensorflow[and-cuda]>=2.18; extra == 'cuda'",
        'absl-py; python_version >= "3.11" and extra == "onnx"',
        'unknown; extra == "test"',
    ],
    "tensorflow": [f'cuda-{i}; extra == "and-cuda"' for i in range(5)],
}


class DoctorTest(TestCase):
    def test_it_says_what_is_there(self):
        code, output, errors = run("doctor")
        self.assertEqual((code, errors), (0, ""))
        for line in (
            f"keras {keras.__version__}",
            f"tensorflow {tf.__version__}",
            f"keras_sat {keras_sat.__version__}",
            "TensorFlow sees 0 GPUs and 0 TPU cores",
            "XLA: off, without a GPU (jit_compile='auto')",
        ):
            self.assertIn(f"\n  {line}\n", output + "\n")

    def test_missing_extras_are_named_with_what_to_install(self):
        requires = mock.patch.object(
            importlib.metadata, "requires", REQUIREMENTS.get
        )
        with requires:
            self.assertEqual(
                list(doctor._extras()),
                [
                    "cuda: cuda-0, cuda-1, cuda-2 and 2 more missing; "
                    "pip install 'keras_sat[cuda]'",
                    "onnx: installed",
                    "plots: nowhere-to-be-found missing; "
                    "pip install 'keras_sat[plots]'",
                ],
            )

    def test_each_extra_is_for_users_and_documented_or_for_developers(self):
        root = pathlib.Path(__file__).parents[2]
        config = configparser.ConfigParser()
        config.read(root / "setup.cfg")
        page = (root / "docs" / "install.md").read_text()
        for extra in config["options.extras_require"]:
            is_documented = f"| `{extra}` |" in page
            self.assertNotEqual(is_documented, extra in doctor.FOR_DEVELOPERS)

    def test_settings_are_those_of_the_environment(self):
        variables = {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_XLA_FLAGS": "--a=1"}
        with mock.patch.dict(os.environ, variables):
            lines = list(doctor._settings())
        self.assertIn("oneDNN: off (TF_ENABLE_ONEDNN_OPTS)", lines)
        self.assertIn("TF_XLA_FLAGS=--a=1", lines)

    def test_a_package_that_cannot_be_imported_is_the_last_line(self):
        with mock.patch.dict(sys.modules, {"keras_sat": None}):
            code, output, errors = run("doctor")
        self.assertEqual((code, output), (1, ""))
        self.assertIn("Versions\n", errors)
        self.assertRegex(
            errors.splitlines()[-1], "^keras_sat cannot be imported: .*halted"
        )
