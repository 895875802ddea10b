"""Test case with a model to be exported."""

import os
import tempfile

import numpy as np
import tensorflow as tf

import keras_sat
from keras_sat.export import formats
from tests.test_case import TestCase

NAMES = ["ant", "bee", "cat", "dog", "eel"]
SIGNATURES = ("serving_default", "serve_uint8", "serve_jpeg")


def encoded(images, encode=tf.io.encode_png):
    return tf.constant([encode(image).numpy() for image in images])


class ExportTest(TestCase):
    def setUp(self):
        super().setUp()
        network, self.images, _ = self.tiny_classifier()
        self.model = keras_sat.SATModel(network)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "model")
        generator = np.random.default_rng(1)
        self.pixels = generator.integers(0, 256, (4, 8, 8, 3), np.uint8)
        self.pictures = generator.integers(0, 256, (3, 40, 60, 3), np.uint8)

    def export(self, model=None, **options):
        model = self.model if model is None else model
        formats.saved_model(model, self.path, **{"overwrite": True} | options)
        return tf.saved_model.load(self.path).signatures

    def predict(self, images):
        return self.model.predict(images, verbose=0)

    def assert_close(self, actual, expected):
        # Probabilities move as far as the logits, which are the largest.
        self.assert_same_up_to_rounding(actual, expected, scale=5)
