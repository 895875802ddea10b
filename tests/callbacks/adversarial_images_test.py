"""Tests of `keras_sat.callbacks.AdversarialImages`."""

import pathlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_sat
from tests.test_case import PASS
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric

# Without signs, which rounding changes where a gradient is next to 0.
ATTACK = keras_sat.PGD(
    epsilon=2.0, step_size=1.0, steps=3, norm="l2", random_start=False
)


class AdversarialImagesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir()) / "images"
        self.network, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(self.network, eval_attack=ATTACK)
        slices = self.images, self.labels
        self.data = tf.data.Dataset.from_tensor_slices(slices).batch(5)

    def fit(self, **options):
        callback = keras_sat.callbacks.AdversarialImages(
            self.data, self.folder, **options
        )
        self.model.fit(self.data, epochs=2, callbacks=[callback], verbose=0)

    def test_each_epoch_has_its_picture(self):
        self.fit()
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(
            names, ["adversarial-0001.png", "adversarial-0002.png"]
        )
        with Image.open(self.folder / names[0]) as picture:
            self.assertGreater(np.std(picture.convert("L")), 10)

    def test_what_is_drawn_is_what_the_attack_makes_of_the_images(self):
        with mock.patch.object(keras_sat.plots, "perturbation_grid") as draw:
            draw.return_value.savefig = lambda file, format: file.write(b"png")
            self.fit(count=7)
        images, adversarial, labels, clean, robust = draw.call_args.args
        self.assertAllEqual(images, self.images[:7])
        self.assertAllEqual(labels, self.labels[:7])
        # After the last epoch, the weights are those that there are now.
        expected = ATTACK(self.network, images, labels)
        self.assert_same_up_to_rounding(adversarial, expected, 6 * PASS)
        self.assertAllEqual(clean, np.argmax(self.network(images), 1))
        self.assertAllEqual(robust, np.argmax(self.network(adversarial), 1))

    def test_tensorboard_gets_the_same_picture(self):
        self.fit(tensorboard=True)
        (events,) = self.folder.glob("events*")
        found = {}
        for record in tf.data.TFRecordDataset(str(events)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                width, height, picture = value.tensor.string_val
                found[event.step] = tf.io.decode_png(picture, channels=3)
                self.assertEqual(value.tag, "adversarial")
        self.assertEqual(sorted(found), [0, 1])
        for step, pixels in found.items():
            path = self.folder / f"adversarial-{step + 1:04}.png"
            drawn = tf.io.decode_png(path.read_bytes(), channels=3)
            self.assertAllEqual(pixels, drawn)

    def test_no_images_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`dataset` must not be empty"):
            keras_sat.callbacks.AdversarialImages(
                self.data.take(0), self.folder
            )
