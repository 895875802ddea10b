"""Tests of `Augmentation` of `keras_sat.data`."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat import data
from keras_sat.data.augmentation import EIGENVALUES
from keras_sat.data.augmentation import EIGENVECTORS
from tests import photographs
from tests.data.random_crops_test import seeds
from tests.models.networks import channels_first
from tests.test_case import TestCase


class ColorsTest(TestCase):
    def change(self, image, count, **options):
        """Changes an image with many seeds."""
        image = tf.cast(image, tf.float32)
        change = tf.function(data.Augmentation(**options).color_function())
        return np.stack([change(image, seed) for seed in seeds(count)])

    def test_without_options_colors_stay(self):
        image = np.random.default_rng(0).uniform(0, 255, (4, 4, 3))
        changed = self.change(image, 2)
        self.assertAllEqual(changed, np.stack([np.float32(image)] * 2))

    def test_gray_is_changed_by_the_brightness_alone(self):
        factors = self.change(np.full((2, 2, 3), 100), 300, jitter=0.4) / 100
        self.assert_same_up_to_rounding(
            factors, factors[:, :1, :1, :1] + 0 * factors, roundings=20
        )
        factors = factors[:, 0, 0, 0]
        self.assertAllInRange(factors, 0.6 - 1e-4, 1.4 + 1e-4)
        self.assertBetween(factors.mean(), 0.96, 1.04)
        # A uniform distribution.
        self.assertBetween(factors.std(), 0.21, 0.25)

    def test_jitter_is_a_mix_of_the_image_its_gray_and_their_mean(self):
        image = photographs.photograph(0, 8, 8)
        image = 60 + np.asarray(image, np.float32) / 4
        gray = image @ np.array([0.299, 0.587, 0.114])
        basis = np.stack(
            [
                image.ravel(),
                np.repeat(gray[..., None], 3, -1).ravel(),
                np.full(image.size, gray.mean()),
            ],
            1,
        )
        for changed in self.change(image, 20, jitter=0.3):
            shares, *_ = np.linalg.lstsq(basis, changed.ravel(), rcond=None)
            self.assert_same_up_to_rounding(
                changed.ravel(), basis @ shares, roundings=64
            )
            # Their sum is the brightness.
            self.assertBetween(shares.sum(), 0.7, 1.3)

    def test_lighting_moves_all_pixels_along_the_colors_of_imagenet(self):
        image = np.random.default_rng(0).uniform(100, 150, (4, 4, 3))
        shift = self.change(image, 400, lighting=0.1) - image
        self.assert_same_up_to_rounding(
            shift, shift[:, :1, :1] + 0 * shift, roundings=10, scale=255
        )
        vectors = np.array(EIGENVECTORS)
        self.assertAllClose(vectors.T @ vectors, np.eye(3), atol=1e-2)
        along = shift[:, 0, 0] @ vectors
        self.assertAllClose(along.std(0), 0.1 * np.array(EIGENVALUES), rtol=0.1)

    def test_erasing_hits_as_many_images_as_it_says(self):
        image = np.full((16, 16, 3), 100.0)
        changed = self.change(image, 200, erasing=0.25)
        shares = (changed != 100).any(-1).mean((1, 2))
        self.assertBetween(np.mean(shares > 0), 0.17, 0.33)
        erased = shares[shares > 0]
        # One pixel more or less, of 2% to 33% of the image.
        self.assertAllInRange(erased, 0.003, 0.45)

    def test_images_are_augmented_channels_last(self):
        image = np.random.default_rng(0).uniform(0, 255, (8, 12, 3))
        image = image.astype("float32")
        augmentation = data.Augmentation(erasing=1.0, randaugment=2)
        expected = augmentation.color_function()
        with channels_first():
            function = augmentation.color_function()
            found = [function(image, (i, 1)) for i in range(12)]
        for i, changed in enumerate(found):
            self.assertAllEqual(changed, expected(image, (i, 1)))


class MixingTest(TestCase):
    def mix(self, seed=0, count=64, **options):
        """Returns mixed images of one level per class, and their labels."""
        labels = np.arange(count) % 5
        images = np.ones((count, 32, 32, 3)) * 50 * labels[:, None, None, None]
        function = data.Augmentation(**options).batch_function(5)
        images, labels = function(
            tf.constant(images, tf.uint8), tf.constant(labels), seeds(9)[seed]
        )
        return images.numpy(), labels.numpy()

    @parameterized.parameters(({"mixup": 0.8}, 0.51), ({"cutmix": 1.0}, 15.0))
    def test_labels_are_the_shares_of_the_images(self, options, error):
        images, labels = self.mix(**options)
        self.assertEqual((images.dtype, labels.dtype), (np.uint8, np.float32))
        self.assertAllClose(labels.sum(-1), np.ones(64))
        expected = labels @ (50 * np.arange(5))
        means = images.mean((1, 2, 3))
        self.assertAllClose(means, expected, rtol=0, atol=error)
        # The border of a box of CutMix lies inside pixels: exact on average.
        self.assertAllClose(means.mean(), expected.mean(), atol=3)
        self.assertGreater(np.mean(labels.max(-1) < 0.99), 0.3)

    def test_mixup_blends_and_cutmix_cuts(self):
        blended, _ = self.mix(mixup=0.8)
        self.assertAllEqual(blended, blended[:, :1, :1] + 0 * blended)
        cut, _ = self.mix(cutmix=1.0)
        self.assertAllEqual(cut % 50, np.zeros_like(cut))
        self.assertGreater(np.mean(cut.std((1, 2, 3)) > 0), 0.3)

    def test_with_both_a_batch_gets_one_of_them(self):
        kinds = set()
        for seed in range(9):
            images, _ = self.mix(seed, mixup=0.8, cutmix=1.0)
            is_cut = bool((images % 50 == 0).all())
            is_blended = bool((images == images[:, :1, :1]).all())
            self.assertNotEqual(is_cut, is_blended)
            kinds.add(is_cut)
        self.assertLen(kinds, 2)


class AugmentationTest(TestCase):
    @parameterized.parameters(
        (ValueError, "`jitter`.*=1.5", {"jitter": 1.5}),
        (ValueError, "`lighting`.*=-1", {"lighting": -1}),
        (TypeError, "`randaugment`.*=0.5", {"randaugment": 0.5}),
        (ValueError, "`area`.*=.0.5, 2", {"area": (0.5, 2)}),
        (ValueError, "`ratio`.*=0.5", {"ratio": (1, 0.5)}),
        (TypeError, "`area`.*=0.5", {"area": 0.5}),
        (ValueError, "`padding`.*=-1", {"padding": -1}),
        (TypeError, "`flip`.*='no'", {"flip": "no"}),
    )
    def test_bad_arguments_are_refused(self, error, message, options):
        with self.assertRaisesRegex(error, message):
            data.Augmentation(**options)
