"""The hash of images, however they are batched."""

import hashlib

import numpy as np

from keras_sat.evaluation.fingerprint import Fingerprint
from tests.test_case import TestCase


def levels():
    """Returns twenty images in grey levels."""
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (20, 4, 4, 3)).astype("uint8")


def text(images, cuts=(), value_range=(0.0, 1.0)):
    """Returns the hash of images that are cut into batches."""
    fingerprint = Fingerprint(value_range)
    for batch in np.split(images, cuts):
        fingerprint.update(batch)
    return fingerprint.text()


class FingerprintTest(TestCase):
    def test_it_is_that_of_the_bytes_of_all_images(self):
        images = (levels() / 255).astype("float32")
        expected = hashlib.sha256(b"(4, 4, 3)" + levels().tobytes())
        for cuts in ((), (3, 4, 11), range(1, 20)):
            self.assertEqual(text(images, cuts), expected.hexdigest())

    def test_the_range_of_the_pixels_is_no_difference(self):
        for low, high in ((0, 255), (-1, 1), (-2, 5)):
            images = (low + (high - low) * (levels() / 255)).astype("float32")
            found = text(images, value_range=(low, high))
            self.assertEqual(found, text((levels() / 255).astype("float32")))

    def test_another_pixel_order_or_shape_is_a_difference(self):
        images = (levels() / 255).astype("float32")
        changed = images.copy()
        changed[7, 2, 1, 0] += (
            1 / 255 if changed[7, 2, 1, 0] < 0.5 else -1 / 255
        )
        others = (
            changed,
            images[::-1],
            images[:-1],
            images.reshape(20, 4, 12, 1),
        )
        hashes = {text(each) for each in (images, *others)}
        self.assertLen(hashes, 5)
