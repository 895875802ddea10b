"""Tests of the turn that cameras note, in files that Pillow writes."""

import struct

import numpy as np
from absl.testing import parameterized
from PIL import Image

from keras_sat.preprocessing import exif
from tests import photographs
from tests.test_case import TestCase


def picture(turn, file_format):
    """Returns a picture whose Exif data hold a turn, and other notes."""
    notes = Image.Exif()
    notes[0x010F] = "maker of the camera"
    if turn:
        notes[exif.ORIENTATION] = turn
    image = Image.fromarray(np.zeros((4, 6, 3), "uint8"))
    return photographs.encoded(image, file_format, exif=notes)


class ExifTest(TestCase):
    @parameterized.product(
        turn=[*range(1, 9)], file_format=["JPEG", "PNG", "WEBP"]
    )
    def test_the_turn_is_the_one_that_was_written(self, turn, file_format):
        contents = picture(turn, file_format)
        self.assertEqual(exif.orientation(contents), turn)

    @parameterized.parameters("JPEG", "PNG", "WEBP")
    def test_what_is_not_noted_is_upright(self, file_format):
        self.assertEqual(exif.orientation(picture(None, file_format)), 1)
        plain = Image.fromarray(np.zeros((4, 6, 3), "uint8"))
        contents = photographs.encoded(plain, file_format)
        self.assertEqual(exif.orientation(contents), 1)

    @parameterized.parameters("GIF", "BMP")
    def test_other_formats_have_no_note(self, file_format):
        plain = Image.fromarray(np.zeros((4, 6), "uint8"))
        contents = photographs.encoded(plain, file_format)
        self.assertEqual(exif.orientation(contents), 1)

    @parameterized.parameters("<", ">")
    def test_both_orders_of_bytes_are_read(self, order):
        name = {"<": b"II", ">": b"MM"}[order]
        note = name + struct.pack(order + "HI", 42, 8)
        note += struct.pack(order + "HHHIHH", 1, exif.ORIENTATION, 3, 1, 6, 0)
        part = b"Exif\0\0" + note
        head = b"\xff\xd8\xff\xe1" + struct.pack(">H", 2 + len(part))
        self.assertEqual(exif.orientation(head + part), 6)

    @parameterized.parameters("JPEG", "PNG", "WEBP")
    def test_no_damage_is_an_error(self, file_format):
        contents = picture(6, file_format)
        found = {exif.orientation(contents[:n]) for n in range(len(contents))}
        self.assertEqual(found, {1, 6})
        generator = np.random.default_rng(0)
        for _ in range(300):
            changed = bytearray(contents)
            for place in generator.integers(len(contents), size=3):
                changed[place] = generator.integers(256)
            self.assertIn(exif.orientation(bytes(changed)), range(1, 9))
