"""Tests of files that would make something else than a network."""

import json
import zipfile
from unittest import mock

import h5py
import keras
import numpy as np
from absl.testing import parameterized

from tests.pretrained.folders_test import FoldersTest


def rewritten(path, change):
    """Changes the configuration in a `.keras` file by a function."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)


class HostileTest(FoldersTest):
    def setUp(self):
        super().setUp()
        self.save()
        self.path = self.folder / "model.keras"

    def replace_layer(self, **layer):
        """Puts another layer in the place of the second one."""

        def change(config):
            config["layers"][1] |= layer

        rewritten(self.path, change)
        self.accept()

    @parameterized.parameters(
        ("Lambda", "keras.layers"),
        ("TFSMLayer", "keras.layers"),
        ("StringLookup", "keras.layers"),
        ("system", "os"),
        ("get_file", "keras.utils"),
        ("load_model", "keras.saving"),
        ("enable_unsafe_deserialization", "keras.config"),
        ("Popen", "subprocess"),
        ("Conv2D", None),
    )
    def test_what_is_no_part_of_a_network_is_refused(self, name, module):
        made = []
        with mock.patch.object(keras.saving, "load_model", made.append):
            self.replace_layer(class_name=name, module=module)
            self.refused(f"'{name}' of the module {module!r}")
        # It was refused before Keras saw the file.
        self.assertEqual(made, [])

    @parameterized.parameters("system", "keras_sat>squareplus")
    def test_a_function_of_another_module_is_refused(self, registered):
        def change(config):
            layer = config["layers"][-1]["config"]
            layer["activation"] = {
                "class_name": "function",
                "config": "system",
                "module": "os",
                "registered_name": registered,
            }

        rewritten(self.path, change)
        self.accept()
        self.refused("'system' of the module 'os'")

    def test_code_in_a_lambda_never_runs(self):
        proof = self.root / "proof"

        def touch(x):
            open(proof, "w").close()
            return x

        inputs = keras.Input((6, 6, 3))
        x = keras.layers.Lambda(touch)(inputs)
        x = keras.layers.Dense(8)(keras.layers.Flatten()(x))
        keras.Model(inputs, x).save(self.path)
        proof.unlink()
        self.accept()
        self.refused("'Lambda' of the module 'keras.layers'")
        self.assertFalse(proof.exists())

    def test_weights_in_another_file_are_not_read(self):
        secret = self.root / "secret.h5"
        with h5py.File(secret, "w") as file:
            file["weights"] = np.ones(3)
        with zipfile.ZipFile(self.path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        place = self.root / "model.weights.h5"
        place.write_bytes(parts["model.weights.h5"])
        with h5py.File(place, "a") as file:
            (name,) = (n for n in file["layers"] if n.startswith("dense"))
            del file[f"layers/{name}/vars"]
            file[f"layers/{name}/vars"] = h5py.ExternalLink(secret, "/")
        with zipfile.ZipFile(self.path, "w") as file:
            for name, content in parts.items():
                if name.endswith(".h5"):
                    content = place.read_bytes()
                file.writestr(name, content)
        self.accept()
        self.refused("model.keras: ")

    def test_a_pickle_is_not_read(self):
        (self.path).write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
        self.accept()
        self.refused("model.keras: ")
