import dataclasses
import pathlib

import keras
import numpy as np
from sklearn.datasets import load_digits
from study import data
from study import setting as settings

from tests.data.idx_files_test import idx
from tests.test_case import TestCase

SIZE = 4


class DigitsTest(TestCase):
    def test_no_seed_changes_the_order(self):
        first = data.read(settings.DIGITS)
        keras.utils.set_random_seed(7)
        second = data.read(settings.DIGITS)
        self.assert_same_bits(
            [first.train, first.test], [second.train, second.test]
        )

    def test_all_digits_are_there_and_mixed(self):
        found = data.read(settings.DIGITS)
        labels = np.concatenate([found.train[1], found.test[1]])
        expected = load_digits().target
        self.assertAllEqual(np.bincount(labels), np.bincount(expected))
        # The first images are like all of them.
        self.assertLess(np.bincount(found.test[1][:40]).max(), 12)

    def test_the_first_images_can_be_enough(self):
        found = data.read(settings.DIGITS, count=40)
        self.assertAllEqual(
            found.test[0], data.read(settings.DIGITS).test[0][:40]
        )

    def test_held_out_images_are_not_trained_on(self):
        found = data.read(settings.DIGITS, held_out=True)
        whole = data.read(settings.DIGITS).train[0]
        self.assertLen(found.test[0], len(whole) // 3)
        self.assertAllEqual(
            np.concatenate([found.test[0], found.train[0]]), whole
        )


class FoldersTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        generator = np.random.default_rng(0)
        self.arrays = {}
        for stem, count in (("train", 5040), ("t10k", 12)):
            images = generator.integers(0, 256, (count, SIZE, SIZE), np.uint8)
            labels = (np.arange(count) % 5).astype(np.uint8)
            self.arrays[stem] = images, labels
            path = self.folder / f"{stem}-images-idx3-ubyte"
            path.write_bytes(idx(images))
            path = self.folder / f"{stem}-labels-idx1-ubyte"
            path.write_bytes(idx(labels))
        self.setting = dataclasses.replace(
            settings.FASHION_MNIST, image_size=SIZE, images=30
        )

    def test_test_images_are_those_of_the_file(self):
        found = data.read(self.setting, self.folder)
        images, labels = self.arrays["t10k"]
        self.assertAllEqual(found.test[0][..., 0], images)
        self.assertAllEqual(found.test[1], labels)
        self.assertLen(found.train[1], 30)

    def test_held_out_images_are_others(self):
        found = data.read(self.setting, self.folder, held_out=True)
        held_out = {image.tobytes() for image in found.test[0]}
        trained = {image.tobytes() for image in found.train[0]}
        tested = {image.tobytes() for image in self.arrays["t10k"][0]}
        self.assertLen(held_out, 5000)
        self.assertLen(trained, 30)
        self.assertEmpty(held_out & (trained | tested))


class ResizedTest(TestCase):
    def test_a_larger_image_has_the_same_mean_and_type(self):
        images = np.full((2, 4, 4, 1), 200, np.uint8)
        images[1, :, 2:] = 100
        pair = images, np.array([0, 1])
        found = data.Data(train=pair, test=pair).resized(8)
        self.assertEqual(found.train[0].shape, (2, 8, 8, 1))
        self.assertEqual(found.train[0].dtype, np.uint8)
        self.assertAllEqual(found.train[0][0], np.full((8, 8, 1), 200))
        # Bilinear, between the centres of pixels.
        self.assertAllEqual(
            found.test[0][1, 0, :, 0],
            [200, 200, 200, 175, 125, 100, 100, 100],
        )

    def test_the_same_size_is_the_same_images(self):
        pair = np.zeros((1, 4, 4, 1)), np.zeros(1, int)
        found = data.Data(train=pair, test=pair)
        self.assertIs(found.resized(4), found)
