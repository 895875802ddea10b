"""Tests of the remarks on the files of a folder."""

import pathlib

import numpy as np
from PIL import Image

from keras_sat import data
from keras_sat.data.folder_check import FolderCheck
from tests import photographs
from tests.data.folders import Temporary


class FolderCheckTest(Temporary):
    def setUp(self):
        super().setUp()
        self.root = photographs.write_folder(self.folder(), count=6)

    def write(self, name, contents):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)

    def picture(self, height, width, **options):
        generator = np.random.default_rng(height + width)
        pixels = generator.integers(0, 256, (height, width, 3), "uint8")
        return photographs.encoded(Image.fromarray(pixels), **options)

    def test_each_remark_is_on_its_files(self):
        first = sorted(self.root.glob("temple/*"))[0]
        self.write("flower/again.jpg", first.read_bytes())
        self.write("flower/broken.png", b"no picture")
        self.write("temple/cut.jpg", first.read_bytes()[:200])
        self.write("temple/empty.gif", b"")
        self.write("temple/photo.tiff", b"unknown")
        self.write("temple/deep/LARGE.JPG", self.picture(50, 60))
        self.write("README.txt", b"text")
        self.write("at_the_top.png", self.picture(50, 50))
        self.write("temple/low.png", self.picture(31, 200))
        self.write("temple/narrow.png", self.picture(200, 31))
        self.write("temple/.hidden.txt", b"")
        self.write(".cache/c.jpg", b"")
        notes = Image.Exif()
        notes[0x0112] = 6
        self.write("temple/turned.jpg", self.picture(64, 64, exif=notes))
        found = data.check_folder(self.root)
        expected = FolderCheck(
            num_images=14,
            broken=("flower/broken.png", "temple/cut.jpg", "temple/empty.gif"),
            skipped=("README.txt", "at_the_top.png", "temple/photo.tiff"),
            tiny=("temple/low.png", "temple/narrow.png"),
            rotated=("temple/turned.jpg",),
            doubled=(("flower/again.jpg", f"temple/{first.name}"),),
        )
        self.assertEqual(found, expected)
        self.assertFalse(found)
        text = str(found)
        self.assertStartsWith(text, "14 images\n\nbroken: 3 cannot be decoded")
        self.assertIn(f"  flower/again.jpg = temple/{first.name}", text)
        # As many as are read, of which the broken ones end an epoch.
        dataset = data.image_folder(
            self.root, image_size=8, batch_size=64, corrupt="skip"
        )
        ((images, _),) = dataset
        self.assertLen(images, 11)
        names = {pathlib.Path(path).name for path in dataset.corrupt_images}
        self.assertEqual(names, {"broken.png", "cut.jpg", "empty.gif"})

    def test_a_good_folder_gives_no_remark(self):
        found = data.check_folder(self.root)
        self.assertEqual(found, FolderCheck(num_images=6))
        self.assertTrue(found)
        self.assertEqual(str(found), "6 images\n\nNo remarks.")

    def test_how_small_is_tiny_can_be_chosen(self):
        # They are 60 by 80 pixels large.
        self.assertLen(data.check_folder(self.root, smallest=61).tiny, 6)
        self.assertEmpty(data.check_folder(self.root, smallest=60).tiny)

    def test_long_lists_are_shortened_in_the_text_only(self):
        found = FolderCheck(num_images=0, tiny=tuple(map(str, range(15))))
        self.assertIn("tiny: 15 are smaller", str(found))
        self.assertEndsWith(str(found), "  9\n  and 5 more")

    def test_what_is_no_folder_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`directory` must be an exist"):
            data.check_folder(self.root / "none")
        with self.assertRaisesRegex(ValueError, "`smallest` must be at least"):
            data.check_folder(self.root, smallest=0)
