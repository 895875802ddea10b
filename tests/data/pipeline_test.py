"""Tests of the batches of a dataset: their order, images and labels."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image
from tensorflow.python.data.experimental.ops import distribute

import keras_sat
from keras_sat import data
from keras_sat.preprocessing import evaluation_view
from tests import photographs
from tests.data.folders import GrayFolder
from tests.data.folders import Temporary
from tests.data.folders import collect
from tests.test_case import FIXTURES

REFERENCE = FIXTURES / "eval_preprocessing.npz"


class ImageFolderTest(GrayFolder):
    def test_evaluation_gives_every_image_once_with_its_label(self):
        dataset = self.dataset(batch_size=5)
        expected = [*range(0, 24, 2), *range(1, 24, 2)]
        self.assertEqual(self.numbers(dataset), expected)
        self.assertAllEqual(collect(dataset)[1], [0] * 12 + [1] * 12)
        self.assertEqual(dataset.class_names, ("a", "b"))
        self.assertEqual(dataset.num_classes, 2)
        self.assertEqual(int(dataset.cardinality()), 5)
        self.assertEqual(dataset.num_batches, 5)
        images, labels = dataset.element_spec
        self.assertEqual((images.dtype, labels.dtype), (tf.uint8, tf.int64))
        self.assertEqual(images.shape.as_list(), [None, 8, 8, 3])

    def test_training_leaves_out_what_does_not_fill_a_batch(self):
        dataset = self.dataset(training=True, batch_size=5)
        numbers = self.numbers(dataset)
        self.assertLen(set(numbers), 20)
        self.assertLen(numbers, 20)
        self.assertEqual(int(dataset.cardinality()), 4)
        self.assertEqual(dataset.num_batches, 4)
        self.assertAllEqual(collect(dataset)[1].shape, [20])

    @parameterized.parameters({}, {"cache": True}, {"shuffle_buffer": 3})
    @pytest.mark.large
    def test_the_seed_fixes_an_order_that_changes_by_epoch(self, **options):
        runs = []
        for i, seed in enumerate((1, 1, 2)):
            keras.utils.set_random_seed(i)  # Plays no part.
            dataset = self.dataset(training=True, seed=seed, **options)
            runs.append([self.numbers(dataset) for _ in range(2)])
        self.assertEqual(runs[0], runs[1])
        self.assertNotEqual(runs[0][0], runs[0][1])
        self.assertNotEqual(runs[0][0], runs[2][0])
        self.assertCountEqual(runs[0][0], range(24))

    def test_another_run_can_be_brought_to_an_epoch(self):
        photographs.write_folder(self.root / "c", 12)
        dataset = self.dataset(training=True)
        epochs = [collect(dataset)[0] for _ in range(3)]
        other = self.dataset(training=True)
        other.epoch.assign(2)
        self.assertAllEqual(collect(other)[0], epochs[2])
        self.assertNotAllEqual(epochs[1], epochs[2])
        self.assertEqual(other.epoch.numpy(), 3)

    @parameterized.product(training=[False, True], given=[False, True])
    def test_workers_share_the_images_without_overlap(self, training, given):
        seen = []
        for worker in range(2):
            context = tf.distribute.InputContext(2, worker, 2)
            dataset = self.dataset(
                batch_size=4,
                training=training,
                input_context=context if given else None,
            )
            if not given:  # As `Strategy.experimental_distribute_dataset`.
                dataset = distribute._AutoShardDataset(dataset, 2, worker)
            mine = self.numbers(dataset)
            self.assertLen(mine, 12)
            seen += mine
        self.assertCountEqual(seen, range(24))

    def test_workers_augment_images_differently(self):
        for i in range(24):  # All the same.
            image = photographs.photograph(0, 60, 80)
            self.write(f"{'ab'[i % 2]}/{i:02}.png", image)
        seen = []
        for worker in range(2):
            context = tf.distribute.InputContext(2, worker, 2)
            dataset = self.dataset(training=True, input_context=context)
            seen += [image.tobytes() for image in collect(dataset)[0]]
        self.assertLen(set(seen), 24)

    def test_all_formats_and_color_modes_give_the_same_colors(self):
        for path in self.root.glob("*/*.png"):
            path.unlink()
        image = photographs.gray(100)
        deep = Image.fromarray(np.full((9, 12), 100 * 257, np.uint16))
        frames = {"save_all": True, "append_images": [photographs.gray(7)]}
        self.write("a/color.jpg", image, "JPEG")
        self.write("a/gray.JPEG", image.convert("L"), "JPEG")
        self.write("a/cmyk.jpg", image.convert("CMYK"), "JPEG")
        self.write("a/progressive.jpg", image, "JPEG", progressive=True)
        self.write("a/webp.webp", image, "WEBP")
        self.write("a/first.gif", image, "GIF", **frames)
        self.write("b/deep.png", deep)
        self.write("b/gray.png", image.convert("L"))
        self.write("b/alpha.png", image.convert("RGBA"))
        self.write("b/palette.png", image.convert("P"))
        self.write("b/bmp.bmp", image, "BMP")
        self.write("b/png_in.jpg", image)
        for training in (False, True):
            dataset = self.dataset(training=training)
            images, labels = collect(dataset)
            self.assertAllInRange(images, 98, 102)
            self.assertAllEqual(np.bincount(labels), [6, 6])

    @parameterized.parameters((1, 1), (3, 200))
    @pytest.mark.large
    def test_images_smaller_than_the_crop_are_enlarged(self, *shape):
        for path in self.root.glob("*/*.png"):
            photographs.gray(50, shape).save(path)
        for training in (False, True):
            for resizing in evaluation_view.RESIZINGS:
                dataset = self.dataset(
                    training=training, image_size=40, resizing=resizing
                )
                images = collect(dataset)[0]
                self.assertAllEqual(images, np.full((24, 40, 40, 3), 50))

    @parameterized.parameters(
        ("tf1_bicubic", 0.3), ("bicubic", 1.3), ("cv2_bicubic", 1.1)
    )
    def test_evaluation_is_that_of_the_official_code(self, resizing, error):
        with np.load(REFERENCE) as reference:
            contents = reference["jpeg_bytes"].tobytes()
            name = "efficientnet_eval_224_float_every_4th"
            expected = np.clip(reference[name], 0, 255)
            if resizing == "cv2_bicubic":
                # That code decodes with OpenCV, and keeps its BGR.
                name = "resnet_eval_224_uint8_bgr_every_4th"
                expected = reference[name][..., ::-1].astype(np.float32)
        (self.root / "a" / "0.jpg").write_bytes(contents)
        dataset = self.dataset(image_size=224, resizing=resizing)
        image = collect(dataset)[0][0, ::4, ::4].astype(np.float32)
        difference = np.abs(image - expected).mean()
        self.assertBetween(difference, error / 2, error)


class KerasTest(Temporary):
    def test_a_callback_keeps_the_epoch_of_the_data_with_that_of_fit(self):
        folder = photographs.write_folder(self.folder(), 8)
        dataset = data.image_folder(
            folder, training=True, batch_size=4, image_size=8
        )
        numbers = []

        class Follow(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                dataset.epoch.assign(epoch)

            def on_epoch_end(self, epoch, logs=None):
                numbers.append(int(dataset.epoch.numpy()))

        model = self.tiny_classifier()[0]
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(
            dataset,
            shuffle=False,
            initial_epoch=3,
            epochs=5,
            callbacks=[Follow()],
            verbose=0,
        )
        self.assertEqual(numbers, [4, 5])

    @pytest.mark.large
    def test_resumed_training_sees_what_it_would_have_seen(self):
        folder = photographs.write_folder(self.folder(), 12)
        self.use_deterministic_ops()

        def train(directory, stop=None):
            """Returns the weights after three epochs, or a kill at a step."""
            keras.utils.set_random_seed(0)
            dataset = data.image_folder(
                folder, training=True, batch_size=4, image_size=8
            )
            model = keras_sat.SATModel(self.tiny_classifier()[0])
            resume = keras_sat.callbacks.Resume(directory, save_freq=1)
            with contextlib.suppress(KeyboardInterrupt):
                model.fit(
                    dataset,
                    epochs=3,
                    callbacks=[resume, Stop(stop)],
                    verbose=0,
                )
            return model.get_weights()

        class Stop(keras.callbacks.Callback):
            def __init__(self, step):
                super().__init__()
                self.step, self.seen = step, 0

            def on_train_batch_begin(self, batch, logs=None):
                if self.seen == self.step:
                    raise KeyboardInterrupt
                self.seen += 1

        expected = train(self.folder())
        directory = self.folder()
        train(directory, stop=4)
        self.assert_same_bits(train(directory), expected)
