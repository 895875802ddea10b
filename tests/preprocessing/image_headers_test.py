"""Tests of the sizes of images, read without decoding."""

import io
import struct

import numpy as np
import tensorflow as tf
from absl.testing import parameterized
from PIL import Image

from keras_sat.preprocessing import image_headers
from tests.test_case import TestCase

HEIGHT, WIDTH = 37, 301


def encoded(format, frames=1, **options):
    """Returns an encoded image of noise."""
    generator = np.random.default_rng(0)
    images = [
        Image.fromarray(
            generator.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        )
        for _ in range(frames)
    ]
    if frames > 1:
        options |= {"save_all": True, "append_images": images[1:]}
    file = io.BytesIO()
    images[0].save(file, format, **options)
    return file.getvalue()


def num_pixels(contents):
    function = tf.function(image_headers.num_pixels, autograph=False)
    return int(function(tf.constant(contents)))


class HeadersTest(TestCase):
    @parameterized.named_parameters(
        ("png", "PNG", {}),
        ("interlaced", "PNG", {"interlace": 1}),
        ("jpeg", "JPEG", {}),
        ("progressive", "JPEG", {"progressive": True}),
        ("bmp", "BMP", {}),
        ("gif", "GIF", {}),
        ("gif_without_colors", "GIF", {"palette": b"\0\0\0" * 2}),
        ("webp", "WEBP", {}),
        ("webp_lossless", "WEBP", {"lossless": True}),
        ("webp_extended", "WEBP", {"exif": b"Exif\0\0"}),
    )
    def test_the_pixels_are_those_of_the_image(self, format, options):
        contents = encoded(format, **options)
        image = tf.io.decode_image(
            contents, channels=3, expand_animations=False
        )
        self.assertEqual(image.shape[:2], (HEIGHT, WIDTH))
        self.assertEqual(num_pixels(contents), HEIGHT * WIDTH)

    def test_all_frames_of_a_gif_count(self):
        contents = encoded("GIF", frames=5)
        self.assertEqual(num_pixels(contents), 5 * HEIGHT * WIDTH)

    def test_a_frame_of_a_gif_that_leaves_its_screen_counts(self):
        contents = bytearray(encoded("GIF"))
        start = contents.index(b",\0\0\0\0")
        contents[start + 5 : start + 9] = struct.pack("<HH", 60000, 50000)
        self.assertEqual(num_pixels(bytes(contents)), 60000 * 50000)

    def test_a_gif_of_very_many_parts_is_too_large(self):
        contents = encoded("GIF")
        start = contents.index(b",\0\0\0\0")
        comment = b"!\xfe" + b"\1a" * (image_headers.MAX_GIF_PARTS + 10) + b"\0"
        contents = contents[:start] + comment + contents[start:]
        self.assertEqual(num_pixels(contents), tf.int64.max)

    @parameterized.named_parameters(
        (
            "png",
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 7, 2**30),
        ),
        ("bmp", b"BM" + bytes(16) + struct.pack("<ii", 7, -(2**30))),
    )
    def test_a_header_alone_is_enough(self, contents):
        self.assertEqual(num_pixels(contents), 7 * 2**30)

    @parameterized.parameters(
        b"", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"GIF89a,"
    )
    def test_a_file_that_was_cut_off_gives_some_number(self, contents):
        self.assertBetween(num_pixels(contents), 0, 2**62)
