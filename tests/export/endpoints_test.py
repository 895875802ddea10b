"""Tests of the answers of a server, to good and to bad requests."""

import base64
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import struct
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.loading import load_classifier
from keras_sat.preprocessing import decoding
from keras_sat.preprocessing import evaluation_view
from keras_sat.weights import averaging
from tests.export.exported import NAMES
from tests.export.exported import SIGNATURES
from tests.export.exported import ExportTest
from tests.export.exported import encoded
from tests.readme_test import python_blocks

ROOT = pathlib.Path(keras_sat.__file__).parents[1]
InvalidArgumentError = tf.errors.InvalidArgumentError


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

    @pytest.mark.large
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

    def gray_model(self):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Flatten()(inputs)
        return keras.Model(inputs, keras.layers.Dense(5)(x))

    def test_gray_models_see_the_brightness_of_files(self):
        model = self.gray_model()
        loaded = self.export(model)
        files = encoded(self.pictures)
        seen = [evaluation_view.evaluation_image(f, 8, 8) for f in files]
        exact = np.stack(seen) @ np.array([0.299, 0.587, 0.114])
        gray = np.floor(exact + 0.5 + 1e-9)[..., None].astype("uint8")
        expected = model(gray / np.float32(255))
        answer = loaded["serve_jpeg"](image_bytes=files)
        self.assert_close(answer["logits"], expected)
        answer = loaded["serve_uint8"](images=gray)
        self.assert_close(answer["logits"], expected)

    def test_models_of_other_channels_have_no_signature_for_files(self):
        inputs = keras.Input((8, 8, 2))
        x = keras.layers.Flatten()(inputs)
        model = keras.Model(inputs, keras.layers.Dense(4)(x))
        self.assertNotIn("serve_jpeg", self.export(model))

    @parameterized.product(crop=["margin", "centre", "none"], channels=[1, 3])
    def test_files_are_seen_as_by_an_evaluation(self, crop, channels):
        folder = pathlib.Path(self.folder) / "pictures"
        files = encoded(self.pictures)
        for i, file in enumerate(files.numpy()):
            (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
            (folder / "ab"[i % 2] / f"{i}.png").write_bytes(file)
        dataset = keras_sat.data.image_folder(
            folder, image_size=8, channels=channels, crop=crop
        )
        ((images, _),) = dataset
        model = self.model if channels == 3 else self.gray_model()
        serve = self.export(model, **dataset.view)["serve_jpeg"]
        answer = serve(image_bytes=tf.gather(files, [0, 2, 1]))
        expected = load_classifier(self.path)(tf.cast(images, "float32") / 255)
        self.assert_close(answer["logits"], expected)
        self.assertEqual(load_classifier(self.path).view, dataset.view)

    @pytest.mark.large
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
        ("empty", b"", f"{decoding.FORMATS} files"),
        ("text", b"<html>", f"{decoding.FORMATS} files"),
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
    """Runs the code of the guide that writes requests, and answers them."""

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

    @pytest.mark.large
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
