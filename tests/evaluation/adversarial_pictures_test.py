"""Adversarial images in picture files, and what rounding does to them."""

import pathlib

import numpy as np
import pytest
from absl.testing import parameterized
from PIL import Image

import keras_sat
from tests.attacks import problems
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


def pixels(path):
    with Image.open(path) as picture:
        # The images have one channel.
        return np.asarray(picture, int)[..., np.newaxis]


class AdversarialPicturesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.problem = problems.Linear(3)
        # On the levels of a file, as pictures are.
        self.images = np.round(255 * self.problem.images) / 255
        self.images = self.images.astype("float32")
        self.folder = pathlib.Path(self.get_temp_dir()) / "new"

    def attack(self, epsilon, images=None, **options):
        images = self.images if images is None else images
        return keras_sat.evaluation.adversarial_pictures(
            options.pop("model", self.problem.model),
            (images, self.problem.labels),
            self.folder,
            epsilon=epsilon,
            verbose=0,
            **options,
        )

    def saved(self, kind):
        """The pictures of a kind, by their numbers."""
        return {
            int(path.name[:6]): pixels(path)
            for path in self.folder.glob(f"*-{kind}.png")
        }

    # 10.2 and 25.5 levels.
    @parameterized.parameters(0.04, 0.1)
    def test_pictures_are_the_images_and_lie_in_the_ball(self, epsilon):
        found = self.attack(epsilon)
        clean, changed = self.saved("clean"), self.saved("adversarial")
        self.assertLen(clean, len(self.images))
        for number, levels in clean.items():
            expected = np.round(255 * self.images[number]).astype(int)
            self.assertAllEqual(levels, expected)
        outcomes = found.report.outcomes
        self.assertCountEqual(changed, np.flatnonzero(outcomes == 0))
        self.assertEqual(found.broken, len(changed))
        self.assertNotEmpty(changed)
        for number, levels in changed.items():
            change = np.abs(levels - clean[number])
            self.assertLessEqual(change.max(), int(255 * epsilon))
        numbers = sorted(changed)
        read = np.stack([changed[i] for i in numbers]) / 255
        classes = np.argmax(self.problem.model(read.astype("float32")), axis=1)
        wrong = classes != self.problem.labels[numbers]
        self.assertEqual(found.broken_as_saved, int(wrong.sum()))
        self.assertIn(f"of which {found.broken} are broken", str(found))

    @pytest.mark.large
    def test_another_range_gives_the_same_pictures(self):
        self.attack(0.1)
        first = self.saved("adversarial")
        self.folder = self.folder.parent / "other"

        def model(images):
            return self.problem.model((images + 1) / 2)

        self.attack(0.1, 2 * self.images - 1, model=model, value_range=(-1, 1))
        second = self.saved("adversarial")
        self.assertEqual(first.keys(), second.keys())
        for number, levels in first.items():
            # A pixel at the edge of two levels may be rounded to either.
            change = np.abs(levels - second[number])
            self.assertLessEqual(change.max(), 1)

    def test_files_have_the_names_that_are_given(self):
        names = [f"class/{i}" for i in range(len(self.images))]
        self.attack(0.1, names=names)
        self.assertLen(
            list(self.folder.glob("class/*-clean.png")), len(self.images)
        )
        with self.assertRaisesRegex(ValueError, "`names` must be as many as"):
            self.attack(0.1, names=names[:-1])

    def test_a_folder_that_cannot_be_written_is_refused(self):
        self.folder.write_text("a file")
        with self.assertRaisesRegex(ValueError, "`directory` must"):
            self.attack(0.1)
