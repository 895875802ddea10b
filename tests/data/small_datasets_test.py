"""Tests of the small datasets; CIFAR-10 is replaced by made-up images."""

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from absl.testing import parameterized
from sklearn.datasets import load_digits

from keras_sat import data
from tests.data.folders import collect
from tests.data.folders import without
from tests.test_case import TestCase


class DigitsTest(TestCase):
    def test_every_image_is_in_one_half_only_and_all_classes_in_both(self):
        keras.utils.set_random_seed(0)
        train_ds, test_ds = data.digits(batch_size=1, image_size=8)
        train, train_labels = collect(train_ds)
        test, test_labels = collect(test_ds)

        both = np.concatenate([train, test])[..., 0].reshape(-1, 64) * 16
        expected = load_digits().data
        self.assertAllClose(
            both[np.lexsort(both.T)], expected[np.lexsort(expected.T)]
        )
        self.assertLen(test, 360)
        self.assertAllInRange(np.bincount(test_labels, minlength=10), 34, 38)
        self.assertAllInRange(np.bincount(train_labels, minlength=10), 139, 147)

    def test_images_keep_their_labels(self):
        known = {
            image.tobytes(): label
            for image, label in zip(*load_digits(return_X_y=True), strict=True)
        }
        for dataset in data.digits(image_size=8):
            images, labels = collect(dataset)
            pixels = (images[..., 0] * 16).astype("float64").reshape(-1, 64)
            self.assertAllEqual(labels, [known[x.tobytes()] for x in pixels])

    def test_images_are_gray_floats_in_the_unit_range(self):
        _, test_ds = data.digits(batch_size=50, image_size=20)
        images, labels = next(iter(test_ds))
        self.assertEqual(images.dtype, tf.float32)
        self.assertEqual(labels.dtype, tf.int32)
        self.assertEqual(images.shape, (50, 20, 20, 3))
        self.assertEqual(test_ds.element_spec[0].shape[1:], (20, 20, 3))
        self.assertEqual(images.numpy().min(), 0.0)
        self.assertEqual(images.numpy().max(), 1.0)
        self.assertAllEqual(images[..., 0], images[..., 1])
        self.assertAllEqual(images[..., 0], images[..., 2])

    def test_gray_needs_one_channel_only(self):
        _, one = data.digits(batch_size=360, image_size=12, channels=1)
        _, three = data.digits(batch_size=360, image_size=12)
        images, _ = collect(one)
        self.assertEqual(images.shape, (360, 12, 12, 1))
        self.assertAllEqual(np.tile(images, 3), collect(three)[0])
        with self.assertRaisesRegex(ValueError, "`channels` must be 1, for"):
            data.digits(channels=4)

    def test_training_drops_the_remainder_and_testing_keeps_it(self):
        train_ds, test_ds = data.digits(batch_size=100, image_size=8)
        self.assertLen(collect(train_ds)[0], 1400)
        self.assertLen(collect(test_ds)[0], 360)

    def test_the_seed_of_keras_fixes_an_order_that_changes_by_epoch(self):
        epochs = []
        for seed in (1, 1, 2):
            keras.utils.set_random_seed(seed)
            train_ds, _ = data.digits(image_size=8)
            epochs.append([collect(train_ds)[1] for _ in range(2)])
        self.assertAllEqual(epochs[0], epochs[1])
        self.assertNotAllEqual(epochs[0][0], epochs[0][1])
        self.assertNotAllEqual(epochs[0][0], epochs[2][0])

    def test_the_split_does_not_depend_on_the_seed(self):
        keras.utils.set_random_seed(1)
        first, _ = collect(data.digits()[1])
        keras.utils.set_random_seed(2)
        second, _ = collect(data.digits()[1])
        self.assertAllEqual(first, second)

    @parameterized.parameters(
        (ValueError, "`batch_size` must be at least 1. Received: .*=0", 0, 8),
        (ValueError, "`batch_size` must be at most 1437.*=1438", 1438, 8),
        (TypeError, "`batch_size` must be an integer.*=2.5", 2.5, 8),
        (ValueError, "`image_size` must be at least 8. Received: .*=7", 64, 7),
    )
    def test_bad_arguments_are_refused(self, error, message, batch, size):
        with self.assertRaisesRegex(error, message):
            data.digits(batch_size=batch, image_size=size)

    def test_a_missing_package_is_named_with_its_extra(self):
        with without("sklearn"):
            with self.assertRaisesRegex(
                ImportError, r"`sklearn` must.*Received.*keras_sat\[digits\]"
            ):
                data.digits()


class CIFAR10Test(TestCase):
    def load(self, seed=0, **kwargs):
        """Returns the datasets, with 40 made-up images in each half."""

        def images(builder, *args, **kwargs):
            generator = np.random.default_rng(0)
            pixels = generator.integers(1, 256, (40, 32, 32, 3), np.uint8)
            examples = {
                "tfds_id": [f"cifar10__{i}" for i in range(40)],
                "image": [tf.io.encode_png(image) for image in pixels],
                "label": np.arange(40) % 10,
            }
            return tf.data.Dataset.from_tensor_slices(examples)

        keras.utils.set_random_seed(seed)
        with tfds.testing.mock_data(as_dataset_fn=images):
            return data.cifar10(batch_size=16, **kwargs)

    def find_crops(self, augmented, original):
        """Returns the offsets and the flip that make each image, or `None`."""
        crops = []
        for image in augmented:
            matches = []
            for source in original:
                padded = np.pad(source, ((4, 4), (4, 4), (0, 0)))
                windows = np.lib.stride_tricks.sliding_window_view(
                    padded, (32, 32, 3)
                )[:, :, 0]
                for flip in (False, True):
                    target = image[:, ::-1] if flip else image
                    # The centre pixel rules out nearly all windows.
                    equal = (windows[:, :, 16, 16] == target[16, 16]).all(-1)
                    for y, x in np.argwhere(equal):
                        if (windows[y, x] == target).all():
                            matches.append((int(y), int(x), flip))
            crops.append(matches[0] if len(matches) == 1 else None)
        return crops

    def test_without_augmentation_images_are_scaled_only(self):
        train_ds, test_ds = self.load(augment=False)
        test, labels = collect(test_ds)
        self.assertEqual(test.dtype, np.float32)
        self.assertAllInRange(test, 1 / 255, 1.0)
        self.assertAllEqual(labels, np.arange(40) % 10)
        train, _ = collect(train_ds)
        self.assertLen(train, 32)
        known = {image.tobytes() for image in test}
        self.assertTrue(all(image.tobytes() in known for image in train))

    def test_training_images_are_random_crops_and_flips(self):
        train_ds, test_ds = self.load()
        train, _ = collect(train_ds)
        crops = self.find_crops(train, collect(test_ds)[0])
        self.assertNotIn(None, crops)
        rows, columns, flips = zip(*crops, strict=True)
        self.assertGreater(len(set(rows)), 4)
        self.assertGreater(len(set(columns)), 4)
        self.assertGreater(len(set(zip(rows, columns, strict=True))), 15)
        self.assertBetween(sum(flips), 6, 26)

    def test_augmentation_changes_by_epoch_and_follows_the_seed(self):
        runs = []
        for seed in (1, 1, 2):
            train_ds, _ = self.load(seed)
            runs.append([collect(train_ds)[0] for _ in range(2)])
        self.assertAllEqual(runs[0], runs[1])
        self.assertNotAllEqual(runs[0][0], runs[2][0])
        first, second = (np.sort(x, axis=None) for x in runs[0])
        self.assertNotAllEqual(first, second)

    def test_too_large_a_batch_is_refused(self):
        with self.assertRaisesRegex(ValueError, "at most 40.*batch_size=41"):
            with tfds.testing.mock_data(num_examples=40):
                data.cifar10(batch_size=41)

    def test_a_missing_package_is_named_with_its_extra(self):
        with without("tensorflow_datasets"):
            with self.assertRaisesRegex(
                ImportError, r"`tensorflow_datasets`.*keras_sat\[data\]"
            ):
                data.cifar10()
