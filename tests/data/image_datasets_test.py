"""Tests of `image_folder` and `load` of `keras_sat.data`."""

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds
from absl.testing import parameterized

import keras_sat
from keras_sat import data
from keras_sat.preprocessing import evaluation_view
from tests import photographs
from tests.data.folders import GrayFolder
from tests.data.folders import Temporary
from tests.data.folders import collect


class ImageFolderTest(GrayFolder):
    @parameterized.parameters(
        (ValueError, "`batch_size`.*at least 1.*=0", {"batch_size": 0}),
        (TypeError, "`image_size`.*integer.*=8.5", {"image_size": 8.5}),
        (ValueError, "`seed`.*at least 0.*=-1", {"seed": -1}),
        (ValueError, "`corrupt`.*error.*skip.*=1", {"corrupt": 1}),
        (ValueError, "`resizing`.*bicubic.*='x'", {"resizing": "x"}),
        (TypeError, "`augmentation`.*='flip'", {"augmentation": "flip"}),
        (ValueError, "`crop_padding`.*=-1", {"crop_padding": -1}),
        (ValueError, "`crop`.*centre.*='middle'", {"crop": "middle"}),
        (ValueError, "`channels`.*gray.*=2", {"channels": 2}),
        (ValueError, "`image_size`.*pair", {"image_size": (8, 8, 3)}),
        (TypeError, "unexpected.*'batchsize'", {"batchsize": 8}),
        (
            ValueError,
            "`batch_size`.*at most 24.*=25",
            {"batch_size": 25, "training": True},
        ),
    )
    def test_bad_arguments_are_refused(self, error, message, options):
        with self.assertRaisesRegex(error, message):
            self.dataset(**options)

    @parameterized.parameters(True, False)
    def test_gray_pictures_have_one_channel_if_asked_for(self, training):
        options = {"training": training, "image_size": (8, 6)}
        gray, color = (
            collect(self.dataset(channels=channels, **options))[0]
            for channels in (1, 3)
        )
        self.assertEqual(gray.shape[1:], (8, 6, 1))
        # The pictures are gray, so that all channels are the same.
        self.assertAllEqual(np.tile(gray, 3), color)

    @pytest.mark.large
    def test_augmented_colors_become_gray(self):
        augmentation = data.Augmentation(
            jitter=0.4, lighting=0.1, randaugment=1, erasing=0.5, mixup=0.2
        )
        options = {"training": True, "augmentation": augmentation}
        gray, labels = collect(self.dataset(channels=1, **options))
        self.assertEqual(gray.shape, (24, 8, 8, 1))
        self.assertGreater(np.std(gray), 0)
        self.assertEqual(labels.shape, (24, 2))

    def test_a_dataset_says_what_it_shows_of_its_pictures(self):
        usual = {
            "crop": "margin",
            "crop_padding": 32,
            "resizing": "tf1_bicubic",
        }
        self.assertEqual(self.dataset().view, usual)
        whole = {"crop": "none", "resizing": "bicubic"}
        self.assertEqual(self.dataset(**whole).view, whole)
        # Of training, there are random views.
        self.assertFalse(hasattr(self.dataset(training=True), "view"))

    def test_a_crop_without_margin_is_one_of_no_width(self):
        levels = np.arange(8 * 12 * 3, dtype="uint16").reshape(8, 12, 3) % 256
        picture = PIL.Image.fromarray(levels.astype("uint8"))
        self.write("a/wide.png", picture)
        centre = collect(self.dataset(crop="centre"))[0]
        self.assertAllEqual(centre, collect(self.dataset(crop_padding=0))[0])
        self.assertNotAllEqual(centre, collect(self.dataset(crop="none"))[0])

    @pytest.mark.large
    def test_photographs_train(self):
        folder = photographs.write_folder(self.folder())
        dataset = data.image_folder(
            folder, training=True, batch_size=8, image_size=8
        )
        model, *_ = self.tiny_classifier()
        model = keras_sat.SATModel(model)
        history = model.fit(dataset, epochs=2, verbose=0).history
        self.assertAllInRange(history["loss"], 0.0, 10.0)
        found = model.evaluate(
            data.image_folder(folder, image_size=8), verbose=0, return_dict=True
        )
        self.assertBetween(found["clean_accuracy"], 0.0, 1.0)


class LoadTest(Temporary):
    @pytest.mark.large
    def test_a_set_in_the_layout_of_imagenet_is_read_and_trained_on(self):
        root = self.folder()
        photographs.prepare_imagenet_layout(root)
        test_ds = data.load(
            "imagenet_layout", "validation", data_dir=root, image_size=8
        )
        images, labels = collect(test_ds)
        self.assertEqual(test_ds.class_names, ("temple", "flower"))
        self.assertEqual(images.shape, (12, 8, 8, 3))
        self.assertAllEqual(np.bincount(labels), [6, 6])
        self.check_pixels(root, images)

        runs = []
        for seed in (1, 1, 2):
            train_ds = data.load(
                "imagenet_layout",
                "train",
                data_dir=root,
                training=True,
                batch_size=12,
                image_size=8,
                seed=seed,
            )
            runs.append([collect(train_ds)[0] for _ in range(2)])
        self.assertAllEqual(runs[0], runs[1])
        self.assertNotAllEqual(runs[0][0], runs[0][1])
        self.assertNotAllEqual(runs[0][0], runs[2][0])
        self.assertLen(runs[0][0], 36)

        model = keras_sat.SATModel(self.tiny_classifier()[0])
        model.fit(train_ds, validation_data=test_ds, verbose=0)
        self.assertTrue(np.isfinite(model.history.history["val_loss"][0]))

    def check_pixels(self, root, images):
        """Checks that images are those of tfds, but for the resize."""
        builder = photographs.ImagenetLayout(data_dir=root)
        expected = [
            evaluation_view.center_crop_and_resize(example["image"], 8, 8)
            for example in builder.as_dataset(split="validation")
        ]
        difference = np.abs(images - np.stack(expected))
        self.assertLess(np.percentile(difference, 90), 2.0)

    @parameterized.product(
        name=["cifar100", "imagenet2012", "imagenette"], training=[False, True]
    )
    def test_any_set_for_classification_is_known(self, name, training):
        with tfds.testing.mock_data(num_examples=6):
            dataset = data.load(
                name, "train", batch_size=3, image_size=8, training=training
            )
            images, labels = collect(dataset)
        self.assertEqual(images.dtype, np.uint8)
        self.assertEqual(images.shape, (6, 8, 8, 3))
        self.assertAllInRange(labels, 0, dataset.num_classes - 1)
        self.assertGreater(len(set(labels)), 1)

    def test_without_crop_padding_images_of_the_size_stay_as_they_are(self):
        with tfds.testing.mock_data(num_examples=8):
            dataset = data.load(
                "cifar10", "test", image_size=32, crop_padding=0
            )
            images, _ = collect(dataset)
            originals = tfds.load("cifar10", split="test").as_numpy_iterator()
            self.assertAllEqual(images, [x["image"] for x in originals])

    def test_padding_shifts_images_of_the_size_and_keeps_their_pixels(self):
        with tfds.testing.mock_data(num_examples=8):
            plain = data.load("cifar10", "test", image_size=24)
            shifted = data.load(
                "cifar10",
                "test",
                training=True,
                batch_size=8,
                image_size=32,
                augmentation=data.Augmentation(padding=4, flip=False),
            )
            images, _ = collect(shifted)
            self.assertEqual(collect(plain)[0].shape, (8, 24, 24, 3))
            originals = tfds.load("cifar10", split="test").as_numpy_iterator()
        padded = [
            np.pad(example["image"], ((4, 4), (4, 4), (0, 0)))
            for example in originals
        ]
        for image in images:
            matches = [
                (y, x)
                for source in padded
                for y in range(9)
                for x in range(9)
                if np.array_equal(source[y : y + 32, x : x + 32], image)
            ]
            self.assertLen(matches, 1)
