"""Tests of datasets with images that cannot be decoded."""

from unittest import mock

import tensorflow as tf
from absl.testing import parameterized

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
