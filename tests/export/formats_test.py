"""Tests of exports: what is written, and where."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.export import formats
from keras_sat.preprocessing import evaluation_view
from tests.export.exported import NAMES
from tests.export.exported import SIGNATURES
from tests.export.exported import ExportTest

# Neither the package nor, after TensorFlow looked for it, Keras is there.
CLIENT = """
import sys
sys.modules["keras_sat"] = None
import numpy as np
import tensorflow as tf
sys.modules["keras"] = None

asked = dict(np.load("asked.npz"))
asked["serve_jpeg"] = [open("image.jpg", "rb").read()]
signatures = tf.saved_model.load("model").signatures
answers = {}
for name in ("serving_default", "serve_uint8", "serve_jpeg"):
    key = "image_bytes" if name == "serve_jpeg" else "images"
    answer = signatures[name](**{key: tf.constant(asked[name])})
    answers[name] = answer["logits"].numpy()
    assert answer["top_names"].dtype == tf.string
np.savez("answers.npz", **answers)
"""


class ServerTest(ExportTest):
    @pytest.mark.large
    def test_a_process_with_only_tensorflow_can_answer(self):
        self.export()
        image = tf.io.encode_jpeg(self.pictures[0]).numpy()
        folder = pathlib.Path(self.folder)
        (folder / "image.jpg").write_bytes(image)
        images = self.images[:4]
        asked = {"serving_default": images, "serve_uint8": self.pixels}
        np.savez(folder / "asked.npz", **asked)
        self.run_program("-c", CLIENT)
        asked["serve_jpeg"] = np.stack(
            [evaluation_view.evaluation_image(image, 8, 8)]
        )
        with np.load(folder / "answers.npz") as answers:
            for name, images in asked.items():
                self.assert_close(answers[name], self.predict(images))

    def run_program(self, *arguments):
        result = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        self.assertEqual(result.returncode, 0, result.stderr[-2000:])
        return result.stdout

    @pytest.mark.large
    def test_saved_model_cli_shows_and_runs_it(self):
        self.export(class_names=NAMES, top_k=1)
        tool = "-m", "tensorflow.python.tools.saved_model_cli"
        place = "--dir", self.path, "--tag_set", "serve"
        shown = self.run_program(*tool, "show", "--dir", self.path, "--all")
        for name in SIGNATURES:
            self.assertIn(f"signature_def['{name}']", shown)
        images = os.path.join(self.folder, "images.npy")
        np.save(images, self.images)
        self.run_program(
            *(*tool, "run", *place, "--signature_def", "serving_default"),
            *("--inputs", f"images={images}", "--outdir", self.folder),
        )
        logits = np.load(os.path.join(self.folder, "logits.npy"))
        self.assert_close(logits, self.predict(self.images))
        names = np.load(
            os.path.join(self.folder, "top_names.npy"), allow_pickle=True
        )
        top = np.array(NAMES, "S")[logits.argmax(1)]
        self.assertAllEqual(names[:, 0], top)


class FolderTest(ExportTest):
    def test_a_link_stays_and_leads_to_the_new_export(self):
        os.symlink("model", os.path.join(self.folder, "current"))
        for _ in range(2):
            formats.saved_model(
                self.model,
                os.path.join(self.folder, "current"),
                overwrite=True,
            )
            self.assertCountEqual(os.listdir(self.folder), ["model", "current"])
            self.assertTrue(tf.saved_model.contains_saved_model(self.path))

    def test_a_place_that_cannot_be_written_is_told_before_the_work(self):
        file = pathlib.Path(self.folder) / "file"
        file.write_text("precious")

        def work(*_):
            self.fail("It had begun.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(formats, "averaged_weights", work)
            for path, format, kind in (
                (file / "model", "tf_saved_model", "folder"),
                (file / "a" / "b", "tf_saved_model", "folder"),
                ("/proc/none/model", "tf_saved_model", "folder"),
                (file / "model.tflite", "litert", "file"),
                ("/proc/none/model.onnx", "onnx", "file"),
            ):
                with self.assertRaisesRegex(
                    ValueError,
                    f"`path` must be a {kind} that can be written.*'{path}'",
                ):
                    self.model.export(path, format)
            for path in ("", "/"):
                with self.assertRaisesRegex(ValueError, "`path` must be a new"):
                    self.model.export(path)
            with self.assertRaisesRegex(ValueError, "`path` must be a file"):
                self.model.export(self.folder, "litert")
        self.assertEqual(file.read_text(), "precious")
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_folders_around_the_export_are_created(self):
        path = pathlib.Path(self.folder) / "a" / "b"
        self.model.export(path / "1")
        self.assertEqual(os.listdir(path), ["1"])

    def test_a_failing_export_leaves_an_older_file_of_another_format(self):
        path = pathlib.Path(self.folder) / "new" / "model.tflite"

        def write(network, file, **_):
            pathlib.Path(file).write_text("half")
            raise OSError("The disk is full.")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(self.model.model), "export", write)
            with self.assertRaisesRegex(OSError, "disk is full"):
                self.model.export(path, "litert")
            self.assertEqual(os.listdir(path.parent), [])
            path.write_text("precious")
            with self.assertRaisesRegex(OSError, "disk is full"):
                self.model.export(path, "litert", overwrite=True)
        self.assertEqual(os.listdir(path.parent), ["model.tflite"])
        self.assertEqual(path.read_text(), "precious")

    def test_an_export_is_replaced_only_if_that_is_asked_for(self):
        versions = pathlib.Path(self.folder) / "classifier"
        self.model.export(versions / "9", class_names=NAMES)
        file = versions / "9" / "assets.extra" / "keras_sat.json"
        before = file.read_text()
        for path, fix in (
            (versions / "9", f"newer version to '{versions}/10'"),
            (f"{versions}/9/", f"newer version to '{versions}/10'"),
        ):
            with self.assertRaisesRegex(
                ValueError,
                "`path` must be a new folder. Received the SavedModel in .*9/?'"
                f". Pass overwrite=True to replace it, or export a {fix}",
            ):
                self.model.export(path)
        self.assertEqual(file.read_text(), before)
        self.model.export(versions / "9", overwrite=True)
        self.assertNotEqual(file.read_text(), before)

    @parameterized.parameters("litert", "tflite", "onnx")
    def test_so_is_a_file_of_another_format(self, format):
        path = pathlib.Path(self.folder) / "model.tflite"
        formats_of_keras = []

        def write(network, file, format, **_):
            formats_of_keras.append(format)
            pathlib.Path(file).write_text(f"version {len(formats_of_keras)}")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(self.model.model), "export", write)
            patch.setattr(formats, "_check_onnx", lambda path: None)
            self.model.export(path, format)
            with self.assertRaisesRegex(
                ValueError,
                "`path` must be a new file. Received the file '.*model.tflite'"
                ". Pass overwrite=True to replace it.$",
            ):
                self.model.export(path, format)
            self.assertEqual(path.read_text(), "version 1")
            self.model.export(path, format, overwrite=True)
        self.assertEqual(path.read_text(), "version 2")
        # That one is known by another name, too.
        expected = format.replace("tflite", "litert")
        self.assertEqual(formats_of_keras, [expected, expected])

    def test_what_is_no_savedmodel_is_not_replaced(self):
        os.makedirs(self.path)
        self.export()  # An empty folder is no loss.
        other = pathlib.Path(self.folder) / "thesis"
        other.mkdir()
        (other / "text").write_text("precious")
        for path in (other, other / "text"):
            with self.assertRaisesRegex(ValueError, "`path` must.*thesis"):
                formats.saved_model(self.model, path)
        self.assertEqual((other / "text").read_text(), "precious")

    def test_models_that_are_no_classifiers_are_refused(self):
        inputs = keras.Input((8,))
        model = keras.Model(inputs, keras.layers.Dense(5)(inputs))
        with self.assertRaisesRegex(ValueError, "`model` must take images"):
            self.export(model)
        inputs = keras.Input((8, 8, 3))
        outputs = keras.layers.Softmax()(keras.layers.Flatten()(inputs))
        with self.assertRaisesRegex(ValueError, "must return logits"):
            self.export(keras.Model(inputs, outputs))


class SATModelTest(ExportTest):
    def test_the_model_exports_itself(self):
        self.model.export(self.path, class_names=NAMES)
        loaded = tf.saved_model.load(self.path)
        logits = self.predict(self.images)
        self.assert_close(loaded.serve(self.images), logits)
        answer = loaded.signatures["serving_default"](images=self.images)
        self.assert_close(answer["logits"], logits)

    def test_litert_gives_the_same_numbers(self):
        interpreter = pytest.importorskip("ai_edge_litert.interpreter")
        path = os.path.join(self.folder, "model.tflite")
        self.model.export(path, format="litert", verbose=False)
        lite = interpreter.Interpreter(path)
        place = lite.get_input_details()[0]["index"]
        lite.resize_tensor_input(place, self.images.shape)
        lite.allocate_tensors()
        lite.set_tensor(place, self.images)
        lite.invoke()
        logits = lite.get_tensor(lite.get_output_details()[0]["index"])
        self.assert_close(logits, self.predict(self.images))

    @pytest.mark.filterwarnings("ignore::FutureWarning:keras")
    def test_onnx_gives_the_same_numbers(self):
        pytest.importorskip("tf2onnx")
        runtime = pytest.importorskip("onnxruntime")
        path = os.path.join(self.folder, "model.onnx")
        self.model.export(path, format="onnx", verbose=False)
        session = runtime.InferenceSession(path)
        (logits,) = session.run(None, {"images": self.images})
        self.assert_close(logits, self.predict(self.images))

    @pytest.mark.filterwarnings("ignore::FutureWarning:keras")
    def test_a_model_that_onnx_cannot_express_is_refused(self):
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Flatten()(keras_sat.SmoothReLU()(inputs))
        model = keras.Model(inputs, keras.layers.Dense(5)(x))
        path = os.path.join(self.folder, "model.onnx")
        with self.assertRaisesRegex(ValueError, "`model` must.*ONNX.*Log1p"):
            formats.other_format(model, path, "onnx", verbose=False)
        self.assertEqual(os.listdir(self.folder), [])
