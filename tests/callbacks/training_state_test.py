"""What `keras_sat.callbacks.Resume` refuses, and what it keeps."""

import pathlib
import resource

import keras
import numpy as np
from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase


class CheckpointsTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.model, self.images, self.labels = self.tiny_classifier()

    def train(self, model=None, epochs=1, **options):
        sat = keras_sat.SATModel(model or self.model, **options)
        resume = keras_sat.callbacks.Resume(self.folder)
        data = self.images, self.labels
        sat.fit(*data, epochs=epochs, callbacks=[resume], verbose=0)
        return sat

    def checkpoints(self):
        return sorted(self.folder.glob("*.npz"))

    @parameterized.named_parameters(
        ("attack", {"attack": keras_sat.PGD(steps=2)}),
        ("objective", {"objective": keras_sat.TRADES()}),
    )
    def test_a_directory_of_another_recipe_is_refused(self, options):
        self.train()
        before = [path.read_bytes() for path in self.checkpoints()]
        with self.assertRaisesRegex(
            ValueError, "`directory` must hold checkpoints of this run.*npz"
        ):
            self.train(**options)
        after = [path.read_bytes() for path in self.checkpoints()]
        self.assertEqual(before, after)

    def test_a_directory_of_another_model_is_refused(self):
        self.train()
        x = keras.Input((8, 8, 3))
        h = keras.layers.GlobalAveragePooling2D()(x)
        other = keras.Model(x, keras.layers.Dense(5)(h))
        with self.assertRaisesRegex(ValueError, "`directory` must hold"):
            self.train(other)

    def test_damaged_checkpoints_alone_are_refused(self):
        self.train(epochs=2)
        self.assertLen(self.checkpoints(), 2)
        for path in self.checkpoints():
            path.write_bytes(path.read_bytes()[:500])
        with self.assertRaisesRegex(ValueError, "damaged ones only.*Remove"):
            self.train(epochs=3)

    def test_a_full_disk_leaves_the_last_checkpoint(self):
        good = self.train().get_weights()
        before = [path.read_bytes() for path in self.checkpoints()]
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with self.assertRaisesRegex(
                OSError, "could not be written.*Those before it are as they"
            ):
                self.train(self.tiny_classifier()[0], epochs=2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        self.assertEqual(
            before, [path.read_bytes() for path in self.checkpoints()]
        )
        self.assertEmpty(list(self.folder.glob("*.tmp")))
        again = self.train(self.tiny_classifier()[0])
        for one, two in zip(good, again.get_weights(), strict=True):
            np.testing.assert_array_equal(one, two)
