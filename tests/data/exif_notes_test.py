"""Tests of what datasets say of their images when they are made."""

import contextlib
import io
from unittest import mock

from PIL import Image

from keras_sat.data import exif_notes
from tests import photographs
from tests.data.folders import GrayFolder


class ExifNotesTest(GrayFolder):
    def said(self, **options):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            self.dataset(**options)
        return output.getvalue().splitlines()

    def test_the_size_of_a_dataset_is_said(self):
        self.assertEqual(self.said(), [f"{self.root}: 24 images, 2 classes"])

    def test_turned_pictures_are_said(self):
        notes = Image.Exif()
        for turn, name in (
            (1, "a/upright.jpg"),
            (6, "a/x.jpg"),
            (3, "b/y.jpg"),
        ):
            notes[0x0112] = turn
            self.write(name, photographs.gray(7), "JPEG", exif=notes)
        words = "2 of 27 pictures that were looked at are seen lying"
        path = self.root / "a" / "x.jpg"
        self.assertStartsWith(
            self.said()[0], f"{words} or mirrored, like {str(path)!r}: "
        )
        with mock.patch.object(exif_notes, "MOST", 14):
            # Every second one.
            self.assertStartsWith(self.said()[0], "1 of 14 pictures")
