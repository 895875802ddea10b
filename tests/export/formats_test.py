"""Tests of `keras_sat.export`: what servers get, and how they see it."""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from tensorflow.core.protobuf import saved_model_pb2

import keras_sat
from keras_sat.export import formats
from keras_sat.loading import load_classifier
from keras_sat.preprocessing import evaluation_view
from keras_sat.weights import averaging
from tests.readme_test import python_blocks
from tests.test_case import TestCase

NAMES = ["ant", "bee", "cat", "dog", "eel"]
SIGNATURES = ("serving_default", "serve_uint8", "serve_jpeg")
ROOT = pathlib.Path(keras_sat.__file__).parents[1]
InvalidArgumentError = tf.errors.InvalidArgumentError

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


def encoded(images, encode=tf.io.encode_png):
    return tf.constant([encode(image).numpy() for image in images])


def graphs(path):
    """All operations of a SavedModel, and the attributes of its functions."""
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    graph = proto.meta_graphs[0].graph_def
    nodes = list(graph.node)
    for function in graph.library.function:
        nodes += function.node_def
    return {n.op for n in nodes}, [f.attr for f in graph.library.function]


class ExportTest(TestCase):
    def setUp(self):
        super().setUp()
        network, self.images, _ = self.tiny_classifier()
        self.model = keras_sat.SATModel(network)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "model")
        generator = np.random.default_rng(1)
        self.pixels = generator.integers(0, 256, (4, 8, 8, 3), np.uint8)
        self.pictures = generator.integers(0, 256, (3, 40, 60, 3), np.uint8)

    def export(self, model=None, **options):
        model = self.model if model is None else model
        formats.saved_model(model, self.path, **options)
        return tf.saved_model.load(self.path).signatures

    def predict(self, images):
        return self.model.predict(images, verbose=0)

    def assert_close(self, actual, expected):
        # Probabilities move as far as the logits, which are the largest.
        self.assert_same_up_to_rounding(actual, expected, scale=5)


@pytest.mark.numeric
class AnswersTest(ExportTest):
    def test_every_signature_answers_like_predict(self):
        loaded = self.export(class_names=NAMES, top_k=2)
        self.assertContainsSubset(SIGNATURES, loaded)
        files = encoded(self.pictures)
        seen = [evaluation_view.evaluation_image(f, 8, 8) for f in files]
        for answer, images in (
            (loaded["serving_default"](images=self.images), self.images),
            (loaded["serve_uint8"](images=self.pixels), self.pixels),
            (loaded["serve_jpeg"](image_bytes=files), np.stack(seen)),
        ):
            logits = self.predict(images)
            self.assert_close(answer["logits"], logits)
            self.assert_close(answer["probabilities"], tf.nn.softmax(logits))
            top = np.argsort(-logits, axis=1)[:, :2]
            self.assertAllEqual(answer["top_classes"], top)
            names = np.array(NAMES, "S")[top]
            self.assertAllEqual(answer["top_names"], names)

    def test_any_batch_size_and_file_format_is_answered(self):
        loaded = self.export()
        logits = self.predict(self.images)
        for size in (1, 3):
            answer = loaded["serving_default"](images=self.images[:size])
            self.assert_close(answer["logits"], logits[:size])
        files = [
            *encoded(self.pictures[:1]).numpy(),
            *encoded(self.pixels[:1, ..., :1]).numpy(),
            *encoded(self.pictures[:1], tf.io.encode_jpeg).numpy(),
        ]
        answers = loaded["serve_jpeg"](image_bytes=tf.constant(files))
        for file, logits in zip(files, answers["logits"], strict=True):
            answer = loaded["serve_jpeg"](image_bytes=tf.constant([file]))
            self.assert_close(answer["logits"][0], logits)

    def test_without_names_the_numbers_of_the_classes_are_returned(self):
        answer = self.export()["serving_default"](images=self.images)
        self.assertEqual(answer["top_classes"].shape, (32, 5))
        numbers = tf.strings.as_string(answer["top_classes"])
        self.assertAllEqual(answer["top_names"], numbers)

    def test_all_images_are_scaled_to_the_range_of_the_model(self):
        network = self.model.model
        wide = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Rescaling(0.5, 0.5), network]
        )
        loaded = self.export(keras_sat.SATModel(wide, value_range=(-1, 1)))
        logits = self.predict(self.pixels)
        answer = loaded["serve_uint8"](images=self.pixels)
        self.assert_close(answer["logits"], logits)
        images = self.pixels.astype("float32") / 127.5 - 1
        answer = loaded["serving_default"](images=images)
        self.assert_close(answer["logits"], logits)
        with self.assertRaisesRegex(InvalidArgumentError, r"\(-1.0, 1.0\)"):
            loaded["serving_default"](images=1.1 + 0 * images)

    def test_the_moving_averages_are_exported_and_the_weights_stay(self):
        optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
        self.model.compile(optimizer)
        weights = self.model.get_weights()
        self.export()  # There are no averages before the first step.
        for _ in range(3):
            self.model.train_on_batch(self.images, np.arange(32) % 5)
        trained = self.model.get_weights()
        self.assertNotAllClose(trained[0], weights[0])
        live = self.predict(self.images)
        loaded = self.export()
        for after, before in zip(
            self.model.get_weights(), trained, strict=True
        ):
            self.assertAllEqual(after, before)
        averaged = loaded["serving_default"](images=self.images)["logits"]
        self.assertNotAllClose(averaged, live)
        loaded = self.export(moving_averages=False)
        answer = loaded["serving_default"](images=self.images)
        self.assert_close(answer["logits"], live)
        # The end of `fit` puts the averages into the model.
        averaging.finalize(self.model)
        self.assert_close(averaged, self.predict(self.images))

    def test_a_model_for_images_of_any_size_gets_the_size_it_is_given(self):
        inputs = keras.Input((None, None, 3))
        x = keras.layers.GlobalAveragePooling2D()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(4)(x))
        with self.assertRaisesRegex(TypeError, "image_size.*None"):
            self.export(model)
        loaded = self.export(model, image_size=(16, 24))
        files = encoded(self.pictures)
        answer = loaded["serve_jpeg"](image_bytes=files)
        seen = [evaluation_view.evaluation_image(f, 16, 24) for f in files]
        self.assert_close(answer["logits"], model(np.stack(seen) / 255))

    def test_files_may_have_as_many_pixels_as_asked_for(self):
        serve = self.export(max_pixels=40 * 60)["serve_jpeg"]
        files = encoded(self.pictures)
        self.assertEqual(serve(image_bytes=files)["logits"].shape, (3, 5))
        larger = np.zeros((40, 61, 3), np.uint8)
        for encode in (tf.io.encode_jpeg, tf.io.encode_png):
            bad = encoded([larger], encode)
            with self.assertRaisesRegex(
                InvalidArgumentError, r"most 2400 pixels.*\[3\] \[2440\]"
            ):
                serve(image_bytes=tf.concat([files, bad], 0))

    def test_gray_models_have_no_signature_for_files(self):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Flatten()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(4)(x))
        self.assertNotIn("serve_jpeg", self.export(model))

    def test_the_export_can_be_attacked_like_the_model(self):
        self.export()
        classifier = load_classifier(self.path)
        self.assert_close(classifier(self.images), self.predict(self.images))
        labels = self.predict(self.images).argmax(1)
        attack = keras_sat.PGD(
            epsilon=0.1, step_size=0.03, steps=5, random_start=False
        )
        adversarial = attack(classifier, self.images, labels)
        self.assert_close(
            classifier(adversarial), self.predict(np.asarray(adversarial))
        )
        images = tf.data.Dataset.from_tensor_slices((self.images, labels))
        options = dict(
            epsilon=0.1, attacks="apgd-ce", diagnose=False, verbose=0
        )
        accuracies = [
            keras_sat.evaluate_robustness(
                model, images.batch(16), **options
            ).robust_accuracy
            for model in (classifier, self.model)
        ]
        self.assertEqual(accuracies[0], accuracies[1])
        self.assertLess(accuracies[0], 1.0)


class ServerTest(ExportTest):
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

    @parameterized.parameters(2, 6)
    def test_the_graph_has_no_python_and_no_xla(self, groups):
        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Conv2D(6, 3)(inputs)
        x = keras.layers.Conv2D(
            12, 3, strides=2, padding="same", groups=groups, activation="relu"
        )(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, keras.layers.Dense(5)(x))
        for weight in model.weights:
            weight.assign_add(0.1 * tf.ones_like(weight))  # Also the biases.
        before = model(self.images)
        loaded = self.export(model)
        answer = loaded["serving_default"](images=self.images)
        self.assert_close(answer["logits"], before)
        self.assert_close(model(self.images), before)
        operations, attributes = graphs(self.path)
        self.assertIn("Conv2D", operations)
        foreign = [o for o in operations if "Py" in o or "Xla" in o]
        self.assertEqual(foreign, [])
        self.assertFalse(any(a["_XlaMustCompile"].b for a in attributes))

    def test_the_package_writes_grouped_convolutions_without_xla(self):
        model = keras_sat.models.residual_network(
            repeats=(1,),
            filters=(16,),
            cardinality=4,
            activation="silu",
            num_classes=5,
            input_shape=(8, 8, 3),
            stem="small",
        )
        loaded = self.export(model)
        answer = loaded["serving_default"](images=self.images)
        self.assert_close(answer["logits"], model(self.images))
        answer = loaded["serving_default"](images=self.images[:0])
        self.assertEqual(answer["logits"].shape, (0, 5))
        operations, attributes = graphs(self.path)
        self.assertFalse(any("Xla" in o for o in operations))
        self.assertFalse(any(a["_XlaMustCompile"].b for a in attributes))

    def test_a_model_that_calls_python_is_refused(self):
        class Python(keras.layers.Layer):
            def call(self, x):
                y = tf.numpy_function(lambda x: x, [x], tf.float32)
                return tf.ensure_shape(y, x.shape)

        inputs = keras.Input((8, 8, 3))
        x = keras.layers.Flatten()(Python()(inputs))
        model = keras.Model(inputs, keras.layers.Dense(5)(x))
        with self.assertRaisesRegex(ValueError, "`model` must.*PyFunc"):
            self.export(model)
        self.assertEqual(os.listdir(self.folder), [])


class BadInputTest(ExportTest):
    loaded = None

    def setUp(self):
        super().setUp()
        if self.loaded is None:
            type(self).loaded = self.export()
            keep = tempfile.TemporaryDirectory()
            self.addClassCleanup(keep.cleanup)
            # Several processes take turns with the tests of a class.
            self.addClassCleanup(setattr, type(self), "loaded", None)
            type(self).path_of_loaded = f"{keep.name}/model"
            shutil.copytree(self.path, self.path_of_loaded)

    @parameterized.named_parameters(
        ("empty", b"", f"{evaluation_view.FORMATS} files"),
        ("text", b"<html>", f"{evaluation_view.FORMATS} files"),
        ("jpeg_header", b"\xff\xd8\xff\xe0", "files that can be decoded"),
        ("png_header", b"\x89PNG\r\n\x1a\n", "files that can be decoded"),
        ("bmp_header", b"BM", "files that can be decoded"),
    )
    def test_bad_files_are_named_and_end_no_other_request(self, contents, kind):
        serve = self.loaded["serve_jpeg"]
        good = encoded(self.pictures[:1], tf.io.encode_jpeg)
        before = serve(image_bytes=good)["logits"]
        size = len(contents)
        good_file = good[0].numpy()
        for files, places, sizes in (
            ([contents], "[0]", f"[{size}]"),
            ([good_file, contents] * 2, "[1 3]", f"[{size} {size}]"),
        ):
            with self.assertRaisesRegex(
                InvalidArgumentError,
                f"`image_bytes` must be {kind}. Received others.*:"
                + re.escape(f"] {places} {sizes}"),
            ):
                serve(image_bytes=tf.constant(files))
        self.assertAllEqual(serve(image_bytes=good)["logits"], before)

    @parameterized.parameters(tf.io.encode_jpeg, tf.io.encode_png)
    def test_a_file_that_was_cut_off_is_refused(self, encode):
        whole = encode(self.pictures[0]).numpy()
        with self.assertRaisesRegex(
            InvalidArgumentError, "must be files that can be decoded"
        ):
            serve = self.loaded["serve_jpeg"]
            serve(image_bytes=tf.constant([whole[: len(whole) // 2]]))

    def test_an_image_of_gigabytes_is_refused_before_it_is_decoded(self):
        # What it claims in its header, it need not hold.
        png = bytearray(tf.io.encode_png(self.pictures[0]).numpy())
        png[16:24] = struct.pack(">II", 20_000, 20_000)
        jpeg = bytearray(tf.io.encode_jpeg(self.pictures[0]).numpy())
        size = struct.pack(">HH", 40, 60)
        self.assertEqual(jpeg.count(size), 1)
        place = jpeg.index(size)
        jpeg[place : place + 4] = struct.pack(">HH", 20_000, 20_000)
        good = tf.io.encode_png(self.pictures[0]).numpy()
        for bad in (png, jpeg):
            with self.assertRaisesRegex(
                InvalidArgumentError,
                "`image_bytes` must be images of at most 25000000 pixels. "
                r"Received others.*many pixels:\] \[1\] \[400000000\]",
            ):
                files = tf.constant([good, bytes(bad)])
                self.loaded["serve_jpeg"](image_bytes=files)

    def test_an_empty_batch_gives_empty_answers(self):
        for name in SIGNATURES:
            serve = self.loaded[name]
            (spec,) = serve.structured_input_signature[1].values()
            empty = tf.zeros([0, *spec.shape[1:]], spec.dtype)
            answer = serve(**{spec.name: empty})
            self.assertEqual(answer["logits"].shape, (0, 5))
            self.assertEqual(answer["probabilities"].shape, (0, 5))
            self.assertEqual(answer["top_classes"].shape, (0, 5))
            self.assertEqual(answer["top_names"].shape, (0, 5))
        loaded = tf.saved_model.load(self.path_of_loaded)
        self.assertEqual(loaded.serve(tf.zeros([0, 8, 8, 3])).shape, (0, 5))

    @parameterized.parameters(
        (255.0, 0.0), (1.0, -0.1), (np.nan, 0), (np.inf, 0)
    )
    def test_images_outside_the_range_are_refused(self, scale, shift):
        serve = self.loaded["serving_default"]
        with self.assertRaisesRegex(
            InvalidArgumentError, r"`images` must lie in `value_range`=\(0.0, 1"
        ):
            serve(images=tf.constant(scale * self.images + shift, tf.float32))
        images = 1.00001 * self.images / self.images.max()  # As after rounding.
        self.assertEqual(serve(images=images)["logits"].shape, (32, 5))

    @parameterized.parameters("serving_default", "serve_uint8")
    def test_other_shapes_and_dtypes_are_refused(self, name):
        dtype = "float32" if name == "serving_default" else "uint8"
        images = tf.zeros((2, 8, 8, 3), dtype)
        serve = self.loaded[name]
        for wrong in (images[0], images[:, :4], images[..., :1]):
            with self.assertRaisesRegex(
                InvalidArgumentError, r"not compatible.*\[\?,8,8,3\]"
            ):
                serve(images=wrong)
        with self.assertRaisesRegex(InvalidArgumentError, "expected to be a"):
            serve(images=tf.cast(images, tf.int64))
        self.assertEqual(serve(images=images)["logits"].shape, (2, 5))


class RequestTest(ExportTest):
    """Runs the blocks of the guide that write requests, and reads those."""

    def setUp(self):
        super().setUp()
        self.loaded = self.export(class_names=NAMES)
        image = tf.io.encode_jpeg(self.pictures[0]).numpy()
        seen = evaluation_view.evaluation_image(image, 8, 8)[tf.newaxis]
        self.logits = {
            "serving_default": self.predict(0 * self.pixels[:1]),
            "serve_uint8": self.predict(0 * self.pixels[:1]),
            "serve_jpeg": self.predict(seen),
        }
        text = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
        writing = [run for _, run in python_blocks(text) if "pixels" in run]
        self.assertLen(writing, 2)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        pathlib.Path("photo.jpg").write_bytes(image)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec("\n".join(writing), {})
        self.printed = output.getvalue()

    def test_tensorflow_serving_would_answer_like_predict(self):
        for name, logits in self.logits.items():
            body = json.loads(pathlib.Path(f"{name}.json").read_text())
            values = [
                base64.b64decode(v["b64"]) if isinstance(v, dict) else v
                for v in body["instances"]
            ]
            signature = self.loaded[body["signature_name"]]
            (spec,) = signature.structured_input_signature[1].values()
            tensor = tf.constant(values, spec.dtype)
            answer = signature(**{spec.name: tensor})
            self.assert_close(answer["logits"], logits)

    def test_triton_would_answer_like_predict(self):
        for file, name in (
            ("floats.json", "serving_default"),
            ("uint8.json", "serve_uint8"),
        ):
            (tensor,) = json.loads(pathlib.Path(file).read_text())["inputs"]
            dtype = {"FP32": "float32", "UINT8": "uint8"}[tensor["datatype"]]
            array = np.array(tensor["data"], dtype).reshape(tensor["shape"])
            answer = self.loaded[name](**{tensor["name"]: array})
            self.assert_close(answer["logits"], self.logits[name])
        body = pathlib.Path("jpeg.bin").read_bytes()
        size = int(self.printed.rpartition(":")[2])
        (tensor,) = json.loads(body[:size])["inputs"]
        data = body[size:]
        self.assertLen(data, tensor["parameters"]["binary_data_size"])
        self.assertEqual(int.from_bytes(data[:4], "little"), len(data) - 4)
        answer = self.loaded["serve_jpeg"](image_bytes=tf.constant([data[4:]]))
        self.assert_close(answer["logits"], self.logits["serve_jpeg"])


class FolderTest(ExportTest):
    def test_the_metadata_can_be_read_without_tensorflow(self):
        report = keras_sat.RobustnessReport(
            labels=np.array([0, 1, 2, 3]),
            outcomes=np.array([-1, 0, 1, 1]),
            attacks=("PGD",),
            epsilon=4 / 255,
            norm="linf",
            seed=0,
            settings={},
            versions={},
            warnings=(),
        )
        self.export(
            class_names=NAMES, report=report, metadata={"author": "tests"}
        )
        file = pathlib.Path(self.path) / "assets.extra" / "keras_sat.json"
        content = json.loads(file.read_text())
        self.assertEqual(content["class_names"], NAMES)
        self.assertEqual(content["image_shape"], [8, 8, 3])
        self.assertEqual(content["value_range"], [0, 1])
        self.assertContainsSubset(SIGNATURES, content["signatures"])
        self.assertEqual(content["training"]["norm"], "linf")
        self.assertEqual(content["training"]["epsilon"], 4 / 255)
        self.assertEqual(content["robustness"]["robust_accuracy"], 0.5)
        self.assertEqual(content["robustness"]["clean_accuracy"], 0.75)
        self.assertEqual(content["robustness"]["epsilon"], 4 / 255)
        self.assertEqual(content["versions"]["tensorflow"], tf.__version__)
        self.assertEqual(content["metadata"], {"author": "tests"})

    def test_an_older_export_is_replaced_whole(self):
        self.export(class_names=NAMES)
        stale = pathlib.Path(self.path) / "stale"
        stale.touch()
        answer = self.export()["serving_default"](images=self.images)
        self.assertIn(answer["top_names"][0, 0], [b"0", b"1", b"2", b"3", b"4"])
        self.assertFalse(stale.exists())
        self.assertEqual(os.listdir(self.folder), ["model"])

    def test_a_failing_export_leaves_the_older_one(self):
        self.export()

        def fail(*_, **__):
            raise OSError("The disk is full.")

        rename = tf.io.gfile.rename

        def fail_second(source, target, **options):
            if source.endswith(".tmp"):
                fail()
            rename(source, target, **options)

        for name, fails in (("makedirs", fail), ("rename", fail_second)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tf.io.gfile, name, fails)
                with self.assertRaisesRegex(OSError, "disk is full"):
                    self.export(class_names=NAMES)
            self.assertEqual(os.listdir(self.folder), ["model"])
            loaded = tf.saved_model.load(self.path).signatures
            answer = loaded["serving_default"](images=self.images)
            self.assert_close(answer["logits"], self.predict(self.images))

    def test_what_a_killed_export_has_left_is_put_right(self):
        self.export()
        # Killed between the two renames.
        shutil.move(self.path, f"{self.path}.7-0123abcd.old")
        for name in ("model.7-0123abcd.tmp", "model.8.tmp", "model.tmp"):
            os.makedirs(os.path.join(self.folder, name, "variables"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tf.io.gfile, "makedirs", None)
            with self.assertRaises(TypeError):
                self.export()
        self.assertCountEqual(os.listdir(self.folder), ["model", "model.tmp"])
        self.assertTrue(tf.saved_model.contains_saved_model(self.path))

    def test_a_link_stays_and_leads_to_the_new_export(self):
        os.symlink("model", os.path.join(self.folder, "current"))
        for _ in range(2):
            formats.saved_model(
                self.model, os.path.join(self.folder, "current")
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
                self.model.export(path, "litert")
        self.assertEqual(os.listdir(path.parent), ["model.tflite"])
        self.assertEqual(path.read_text(), "precious")

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

    @parameterized.parameters(
        (dict(class_names=NAMES[:4]), ValueError, "class_names.*5 cl.*4 names"),
        (dict(class_names="abcde"), TypeError, "class_names.*sequence of str"),
        (dict(class_names=range(5)), TypeError, "class_names.*sequence of str"),
        (dict(class_names=7), TypeError, "class_names.*sequence of str"),
        (
            dict(class_names=["a", "b", "a", "b", "c"]),
            ValueError,
            r"`class_names` must differ.*more than once: \['a', 'b'\]",
        ),
        (dict(max_pixels=0), ValueError, "max_pixels.*at least 1"),
        (dict(max_pixels=2.5e7), TypeError, "max_pixels.*integer"),
        (dict(top_k=0), ValueError, "top_k.*at least 1"),
        (dict(top_k=6), ValueError, "top_k.*at most 5"),
        (dict(image_size=(9, 8)), ValueError, "image_size.*9"),
        (dict(image_size=8), TypeError, "image_size.*8"),
        (dict(value_range=(1, 0)), ValueError, "value_range.*low < high"),
        (dict(metadata={"a": {1}}), TypeError, "metadata.*JSON.*set"),
        (dict(metadata={"a": np.inf}), ValueError, "metadata.*JSON.*inf"),
        (dict(report="0.5"), TypeError, "report.*RobustnessReport"),
    )
    def test_arguments_that_make_no_sense_are_refused(
        self, options, error, words
    ):
        with self.assertRaisesRegex(error, words):
            self.export(**options)
        self.assertEqual(os.listdir(self.folder), [])

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
