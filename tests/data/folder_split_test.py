"""Tests of the division of a folder."""

import keras
import numpy as np
from absl.testing import parameterized

from tests.data.folders import GrayFolder
from tests.data.folders import collect


class FolderSplitTest(GrayFolder):
    def of_keras(self, subset, **options):
        return keras.utils.image_dataset_from_directory(
            self.root, subset=subset, verbose=False, **options
        )

    @parameterized.parameters((0.25, 0), (0.1, 7), (0.99, 3))
    def test_the_parts_are_those_of_keras(self, share, seed):
        options = {"validation_split": share, "seed": seed}
        for subset in ("training", "validation"):
            expected = self.of_keras(subset, **options).file_paths
            dataset = self.dataset(subset=subset, **options)
            self.assertCountEqual(dataset.file_paths, expected)
            self.assertLen(self.numbers(dataset), len(expected))

    def test_both_parts_are_the_whole(self):
        train, held_out = self.dataset(
            validation_split=0.25, subset="both", training=True
        )
        self.assertLen(train.file_paths, 18)
        self.assertLen(held_out.file_paths, 6)
        self.assertCountEqual(
            train.file_paths + held_out.file_paths, self.dataset().file_paths
        )
        # Images to validate on are neither shuffled nor cut at random.
        self.assertFalse(hasattr(train, "view"))
        self.assertEqual(held_out.view["crop"], "margin")
        numbers = self.numbers(held_out)
        self.assertEqual(
            numbers, [int(path[-6:-4]) for path in held_out.file_paths]
        )
        labels = collect(held_out)[1]
        self.assertAllEqual(labels, np.array(numbers) % 2)

    @parameterized.parameters(
        ({"subset": "training"}, "`subset` must be None without"),
        ({"validation_split": 0.5}, "`subset` must be one of .*both.*None"),
        (
            {"validation_split": 1, "subset": "both"},
            "`validation_split` must be less than 1",
        ),
        (
            {"validation_split": 0.0, "subset": "both"},
            "`validation_split` must be greater than 0",
        ),
        (
            {"validation_split": 0.01, "subset": "validation"},
            "`validation_split` must hold out an image or more of 24",
        ),
    )
    def test_wrong_arguments_are_refused(self, options, message):
        with self.assertRaisesRegex(ValueError, message):
            self.dataset(**options)
