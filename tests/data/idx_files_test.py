"""Tests of idx files, on small ones that are written here."""

import gzip
import struct

import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat import data
from tests.data.folders import Temporary
from tests.data.folders import collect

SIZE = 6


def idx(array):
    """Returns an array as the bytes of an idx file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.tobytes()


class IdxTest(Temporary):
    def setUp(self):
        super().setUp()
        self.root = self.folder()
        generator = np.random.default_rng(0)
        self.arrays = {}
        for stem, count in (("train", 40), ("t10k", 12)):
            images = generator.integers(0, 256, (count, SIZE, SIZE), np.uint8)
            # The first pixel tells which image it is.
            images[:, 0, 0] = np.arange(count)
            labels = (np.arange(count) % 5).astype(np.uint8)
            self.arrays[stem] = images, labels
            self.write(f"{stem}-images-idx3-ubyte", idx(images))
            self.write(f"{stem}-labels-idx1-ubyte", idx(labels))

    def write(self, name, contents):
        (self.root / name).write_bytes(contents)

    def load(self, *arguments, **options):
        options = {"held_out": 15, "batch_size": 4} | options
        return data.idx_folder(self.root, *arguments, **options)

    def numbers(self, dataset):
        """Returns which images a dataset holds, and checks each of them."""
        images, labels = collect(dataset)
        numbers = images[:, 0, 0, 0].astype(int)
        expected, their_labels = self.arrays["train"]
        self.assertAllEqual(images[..., 0], expected[numbers])
        self.assertAllEqual(labels, their_labels[numbers])
        return numbers.tolist()


class ReadingTest(IdxTest):
    def test_the_test_set_is_what_the_files_hold(self):
        dataset = self.load("test")
        images, labels = collect(dataset)
        expected, their_labels = self.arrays["t10k"]
        self.assertEqual(images.dtype, np.uint8)
        self.assertEqual(labels.dtype, np.int64)
        self.assertAllEqual(images, expected[..., np.newaxis])
        self.assertAllEqual(labels, their_labels)
        self.assertEqual(dataset.element_spec[0].shape[1:], (SIZE, SIZE, 1))
        self.assertEqual(dataset.class_names, ("0", "1", "2", "3", "4"))
        self.assertEqual([dataset.num_classes, dataset.num_batches], [5, 3])

    @pytest.mark.large
    def test_parts_are_disjoint_whole_and_fixed_by_the_seed(self):
        parts = {}
        for seed in (0, 1):
            train = self.numbers(self.load(split_seed=seed))
            held_out = self.numbers(self.load("validation", split_seed=seed))
            self.assertLen(held_out, 15)
            self.assertCountEqual(train + held_out, range(40))
            parts[seed] = held_out
        self.assertNotEqual(parts[0], parts[1])
        # What the split is on every machine.
        self.assertEqual(
            parts[0], sorted(np.random.RandomState(0).permutation(40)[:15])
        )
        self.assertEqual(self.numbers(self.load(held_out=0)), list(range(40)))

    def test_training_shuffles_whole_images_anew_in_each_epoch(self):
        dataset = self.load(training=True, held_out=8)
        first, second = (self.numbers(dataset) for _ in range(2))
        self.assertLen(set(first), 32)
        self.assertCountEqual(first, second)
        self.assertNotEqual(first, second)
        again = self.load(training=True, held_out=8)
        self.assertEqual(self.numbers(again), first)

    def test_options_are_those_of_folders(self):
        shifted = data.Augmentation(padding=2, flip=False)
        dataset = self.load(training=True, augmentation=shifted, held_out=0)
        images, _ = collect(dataset)
        blank = np.all(images[:, 0] == 0, axis=(1, 2))
        self.assertBetween(np.mean(blank), 0.1, 0.7)
        resized, _ = collect(self.load("test", image_size=12))
        self.assertEqual(resized.shape, (12, 12, 12, 1))
        mixed = data.Augmentation(mixup=0.8, area=(1, 1), ratio=(1, 1))
        dataset = self.load(training=True, augmentation=mixed)
        images, labels = next(iter(dataset))
        self.assertEqual(images.shape, (4, SIZE, SIZE, 1))
        self.assertAllClose(np.sum(labels, 1), np.ones(4))

    @parameterized.parameters(".", "-")
    def test_other_names_and_compressed_files(self, mark):
        expected = self.numbers(self.load())
        for kind in "images-idx3", "labels-idx1":
            old = self.root / f"train-{kind}-ubyte"
            contents = gzip.compress(old.read_bytes())
            old.unlink()
            name = f"train-{kind}-ubyte.gz".replace("-idx", mark + "idx")
            self.write(name, contents)
        self.assertEqual(self.numbers(self.load()), expected)

    def test_a_model_is_trained_by_a_recipe_on_them(self):
        names = "a", "b", "c", "d", "e"
        dataset = self.load(training=True, class_names=names)
        self.assertEqual(dataset.class_names, names)
        network = keras_sat.models.residual_network(
            repeats=(1,),
            filters=(4,),
            num_classes=dataset.num_classes,
            input_shape=(SIZE, SIZE, 1),
            stem="small",
            stem_filters=4,
        )
        model = keras_sat.SATModel(network)
        model.compile("sgd")
        history = model.fit(dataset, verbose=0).history
        self.assertTrue(np.isfinite(history["loss"][0]))
        self.assertEqual(int(model.optimizer.iterations), 6)


class RefusalsTest(IdxTest):
    def assert_refused(self, message, *arguments, **options):
        with self.assertRaisesRegex(ValueError, message):
            self.load(*arguments, **options)

    def test_a_wrong_magic_number(self):
        self.write("train-images-idx3-ubyte", b"\x89PNG\r\n" + bytes(100))
        self.assert_refused(
            "`directory` must hold images in idx files, which begin with "
            "00000803. Received.*train-images-idx3-ubyte', which begins with "
            "89504e47"
        )
        # Labels in the place of images, and signed numbers.
        self.write("train-images-idx3-ubyte", idx(self.arrays["train"][1]))
        self.assert_refused("begins with 00000801")
        self.write("train-images-idx3-ubyte", b"\0\0\x09\x03" + bytes(100))
        self.assert_refused("begins with 00000903")

    @parameterized.parameters("images-idx3", "labels-idx1")
    def test_files_that_are_cut_off_or_too_long(self, kind):
        name = f"t10k-{kind}-ubyte"
        whole = (self.root / name).read_bytes()
        for contents, message in (
            (b"", "which begins with nothing"),
            (whole[:7], "ends within its head"),
            (whole[:-1], f"{len(whole) - 1} bytes instead of {len(whole)}"),
            (whole + b"0", f"{len(whole) + 1} bytes instead of {len(whole)}"),
        ):
            self.write(name, contents)
            self.assert_refused(f"`directory` must hold.*{message}", "test")

    def test_a_file_of_nothing(self):
        self.write("t10k-images-idx3-ubyte", idx(np.zeros((0, 6, 6), np.uint8)))
        self.assert_refused(
            r"`directory` must hold images. Received.*\(0, 6, 6\)", "test"
        )

    def test_broken_compression(self):
        name = "train-images-idx3-ubyte"
        packed = gzip.compress((self.root / name).read_bytes())
        (self.root / name).unlink()
        damaged = packed[:40] + bytes(20) + packed[60:]
        for contents in packed[:-20], b"no gzip", damaged, packed + b"more":
            self.write(name + ".gz", contents)
            self.assert_refused(
                "`directory` must hold `.gz` files that can be decompressed. "
                "Received.*train-images-idx3-ubyte.gz"
            )

    def test_counts_and_shapes_that_do_not_fit(self):
        images, labels = self.arrays["train"]
        self.write("train-labels-idx1-ubyte", idx(labels[:-1]))
        self.assert_refused(
            "must hold a label for each image. Received.*40 images and 39 lab"
        )
        self.write("train-labels-idx1-ubyte", idx(labels))
        self.write("train-images-idx3-ubyte", idx(images[:, :4].copy()))
        self.assert_refused("must hold square images.*4x6 pixels")

    def test_what_is_not_there(self):
        (self.root / "t10k-labels-idx1-ubyte").unlink()
        self.assert_refused(
            r"must hold one of \['t10k-labels-idx1-ubyte', "
            r"'t10k-labels.idx1-ubyte', 't10k-labels-idx1-ubyte.gz', "
            r"'t10k-labels.idx1-ubyte.gz'\]. Received.*'t10k-images-idx3-ubyte",
            "test",
        )
        with self.assertRaisesRegex(ValueError, "must be an existing folder"):
            data.idx_folder(self.root / "nowhere")

    @parameterized.parameters(
        ({"subset": "valid"}, "`subset` must be one of"),
        ({"held_out": 40}, "`held_out` must be less than 40"),
        (
            {"held_out": 0, "subset": "validation"},
            "`held_out` must be at least 1 for validation",
        ),
        ({"held_out": -1}, "`held_out` must be at least 0"),
        ({"split_seed": -1}, "`split_seed` must be at least 0"),
        ({"class_names": "abcd"}, "`class_names` must name all labels up to 4"),
        (
            {"batch_size": 26, "training": True},
            "`batch_size` must be at most 25",
        ),
    )
    def test_wrong_arguments(self, options, message):
        self.assert_refused(message, **options)
