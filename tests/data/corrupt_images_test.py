"""Tests of datasets with images that cannot be decoded."""

from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import data
from tests import photographs
from tests.data.folders import GrayFolder
from tests.data.folders import collect


class CorruptImagesTest(GrayFolder):
    def damaged(self, kind):
        """Returns the bytes of a file that is not a whole image."""
        whole = photographs.encoded(photographs.photograph(0, 60, 80))
        header = bytearray(whole)
        header[150:400] = bytes(250)
        return {
            "zero": b"",
            "text": b"not an image",
            "truncated": whole[: len(whole) // 2],
            "header": bytes(header),
        }[kind]

    @parameterized.product(
        kind=["zero", "text", "truncated", "header"], training=[False, True]
    )
    def test_a_corrupt_image_is_named_or_skipped_and_counted(
        self, kind, training
    ):
        path = self.root / "a" / f"{kind}.jpg"
        path.write_bytes(self.damaged(kind))
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, f"Cannot decode.*{path}"
        ):
            collect(self.dataset(training=training))
        dataset = self.dataset(training=training, corrupt="skip", batch_size=1)
        self.assertCountEqual(self.numbers(dataset), range(24))
        self.assertEqual(dataset.corrupt_images, {str(path)})

    @parameterized.parameters(
        "fit",
        "validation",
        "evaluate",
        "predict",
        "evaluate_robustness",
        "robustness_curve",
    )
    def test_in_mid_epoch_it_is_one_error_that_names_the_file(self, name):
        # The last one of the second class.
        path = self.root / "b" / "99 [1].png"
        path.write_bytes(self.damaged("text"))
        dataset = self.dataset(training=name == "fit")
        network = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten()]
            + [keras.layers.Dense(2)]
        )
        model = keras_sat.SATModel(network)
        call = {
            "fit": lambda: model.fit(dataset, verbose=0),
            "validation": lambda: model.fit(
                np.zeros((2, 8, 8, 3), "uint8"),
                np.zeros(2, "int32"),
                validation_data=dataset,
                verbose=0,
            ),
            "evaluate": lambda: model.evaluate(dataset, verbose=0),
            "predict": lambda: model.predict(dataset, verbose=0),
            "robustness_curve": lambda: keras_sat.robustness_curve(
                model, dataset, [0.0], verbose=0
            ),
            "evaluate_robustness": lambda: keras_sat.evaluate_robustness(
                model, dataset, "apgd-ce", 0, verbose=0
            ),
        }[name]
        with self.assertRaises(ValueError) as caught:
            call()
        message = str(caught.exception)
        self.assertStartsWith(
            message, "`dataset` must give images that can be decoded."
        )
        self.assertEqual(message.count(str(path)), 1)
        self.assertNotIn("\n", message)
        # Nothing of TensorFlow's own error is shown.
        self.assertTrue(caught.exception.__suppress_context__)

    def test_an_epoch_with_nothing_but_corrupt_images_is_empty(self):
        for path in self.root.glob("*/*.png"):
            path.write_bytes(b"")
        dataset = self.dataset(corrupt="skip")
        self.assertEmpty(list(dataset))
        self.assertLen(dataset.corrupt_images, 24)

    def test_a_corrupt_record_is_named_or_skipped(self):
        root = self.folder()
        broken = photographs.encoded(photographs.photograph(0, 60, 80))[:400]
        real = photographs.encoded

        def encode(image, **options):
            # The image that is 57 pixels high.
            return broken if image.height == 57 else real(image, **options)

        with mock.patch.object(photographs, "encoded", encode):
            photographs.prepare_imagenet_layout(root)
        options = {"data_dir": root, "image_size": 8}
        dataset = data.load("imagenet_layout", "train", **options)
        with self.assertRaisesRegex(
            tf.errors.InvalidArgumentError, "imagenet_layout-train.tfrecord"
        ):
            collect(dataset)
        dataset = data.load(
            "imagenet_layout", "train", corrupt="skip", **options
        )
        self.assertLen(collect(dataset)[0], 35)
        self.assertLen(dataset.corrupt_images, 1)
