"""Tests of decoding, whole and in windows."""

import numpy as np
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.preprocessing import decoding
from keras_sat.preprocessing import evaluation_view
from tests.test_case import TestCase


class DecodingTest(TestCase):
    @parameterized.named_parameters(
        ("jpeg", tf.io.encode_jpeg, 3),
        ("gray_jpeg", tf.io.encode_jpeg, 1),
        ("png", tf.io.encode_png, 3),
        ("png_with_alpha", tf.io.encode_png, 4),
        ("gray_png", tf.io.encode_png, 1),
    )
    def test_every_format_gives_colors_of_the_size(self, encode, channels):
        image = np.full((30, 50, channels), 100, np.uint8)
        contents = encode(image)
        self.assertTrue(decoding.has_known_format(contents))
        result = evaluation_view.evaluation_image(contents, 8, 16)
        self.assertEqual(result.shape, (8, 16, 3))
        self.assertAllClose(result, np.full((8, 16, 3), 100), atol=1)

    def test_gray_is_the_brightness_that_jpeg_defines(self):
        image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
        result = decoding.to_gray(image)
        self.assertEqual(result.dtype, tf.uint8)
        exact = image @ np.array([0.299, 0.587, 0.114])
        # Half of a level is rounded up.
        self.assertAllEqual(result[..., 0], np.floor(exact + 0.5 + 1e-9))
        levels = np.tile(np.arange(256, dtype=np.uint8)[:, None, None], 3)
        self.assertAllEqual(decoding.to_gray(levels), levels[..., :1])

    def test_other_bytes_are_no_image(self):
        contents = tf.constant([b"", b"B", b"<svg>", b"GIF8", b"RIFF1234"])
        known = decoding.has_known_format(contents)
        self.assertAllEqual(known, [False, False, False, True, True])

    @parameterized.parameters(tf.io.encode_jpeg, tf.io.encode_png)
    def test_a_window_is_that_part_of_the_image(self, encode):
        # Gray: in colors, the border depends on how much is decoded.
        image = np.random.default_rng(0).integers(0, 256, (32, 48, 1), np.uint8)
        contents = encode(image)
        shapes = []

        def choose(shape):
            shapes.append(shape)
            return tf.constant([8, 16, 16, 24])

        found = decoding.decode_window(contents, choose)
        self.assertAllEqual(shapes[0][:2], [32, 48])
        whole = decoding.decode(contents)
        self.assertAllEqual(found, whole[8:24, 16:40])
        self.assertAllEqual(found, decoding.crop(whole, [8, 16, 16, 24]))

    def test_of_a_jpeg_only_the_window_is_decoded(self):
        image = np.zeros((64, 64, 3), np.uint8)
        contents = tf.io.encode_jpeg(image).numpy()
        graph = tf.function(
            lambda contents: decoding.decode_window(
                contents, lambda shape: tf.constant([0, 0, 8, 8])
            )
        ).get_concrete_function(tf.constant(contents))
        nodes = graph.graph.as_graph_def().library.function
        kinds = [{node.op for node in part.node_def} for part in nodes]
        jpeg = [part for part in kinds if "DecodeAndCropJpeg" in part]
        self.assertLen(jpeg, 1)
        self.assertNotIn("DecodeImage", jpeg[0])
