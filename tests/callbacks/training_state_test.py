"""Tests of checkpoints: which `Resume` refuses, and which it keeps."""

import json
import pathlib
import resource
import shutil

import keras
import numpy as np
import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat.callbacks import training_state
from tests.test_case import FIXTURES
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

    @pytest.mark.large
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

    def test_only_as_many_as_wanted_are_kept(self):
        sat = keras_sat.SATModel(self.model)
        sat.build_optimizer()
        for position in ((0, 8), (1, 2), (0, 9), (10, 0)):
            training_state.save(sat, self.folder, {}, position, keep=3)
        self.assertEqual(
            [path.name for path in self.checkpoints()],
            [
                "checkpoint-000000-00000009.npz",
                "checkpoint-000001-00000002.npz",
                "checkpoint-000010-00000000.npz",
            ],
        )
        newest = training_state.newest(self.folder, {})
        self.assertEqual((newest.epoch, newest.step), (10, 0))

    def test_what_is_not_finite_is_not_saved(self):
        sat = keras_sat.SATModel(self.model)
        sat.build_optimizer()
        kernel = self.model.trainable_variables[0]
        kernel.assign(np.full(kernel.shape, np.nan))
        with self.assertLogs("absl", "WARNING") as logs:
            training_state.save(sat, self.folder, {}, (0, 1), keep=2)
        self.assertIn("no checkpoint of it is saved", logs.output[0])
        self.assertEmpty(self.checkpoints())


class OlderCheckpointTest(TestCase):
    """See `tests/fixtures/before_rooms/README.md`."""

    NAME = "checkpoint-000001-00000000.npz"

    def setUp(self):
        super().setUp()
        x = keras.Input((4, 4, 1))
        normalization = keras.layers.BatchNormalization(
            momentum=0.9, name="normalization"
        )
        h = keras.layers.GlobalAveragePooling2D()(normalization(x))
        logits = keras.layers.Dense(3, name="logits")(h)
        self.model = keras_sat.SATModel(
            keras.Model(x, logits), objective=keras_sat.TRADES(beta=3.0)
        )
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
        self.model.compile(optimizer, weight_decay=1e-3)
        self.model.build_optimizer()
        with np.load(FIXTURES / "before_rooms" / self.NAME) as arrays:
            self.arrays = dict(arrays)

    def test_the_fingerprint_of_the_run_is_the_one_in_it(self):
        header = json.loads(str(self.arrays["header"]))
        self.assertEqual(self.model.fingerprint(), header["settings"])

    def test_its_state_is_restored(self):
        folder = FIXTURES / "before_rooms"
        found = training_state.newest(folder, self.model.fingerprint())
        training_state.restore(self.model, found)
        training_state.restore_metrics(self.model, found)
        # A variable of several parts counts once.
        parts = self.model, self.model.optimizer
        variables = {id(v): v for part in parts for v in part.variables}
        count = len(found.values)
        self.assertLen(variables, count)
        self.assert_same_bits(
            [np.array(v) for v in variables.values()],
            [self.arrays[f"variable_{i}"] for i in range(count)],
        )
        self.assertEqual(int(self.model.optimizer.iterations), 2)
        # Keras makes that of the loss, the first, before the first step.
        metrics = list(found.metrics.values())
        self.assertAllClose(metrics[:2], [8.845692, 8.0])

    def test_training_goes_on_from_it(self):
        folder = pathlib.Path(self.get_temp_dir())
        shutil.copy(FIXTURES / "before_rooms" / self.NAME, folder)
        images = np.random.default_rng(0).uniform(size=(8, 4, 4, 1))
        history = self.model.fit(
            *(images.astype("float32"), np.arange(8) % 3),
            batch_size=4,
            epochs=3,
            callbacks=[keras_sat.callbacks.Resume(folder)],
            verbose=0,
        )
        self.assertEqual(history.epoch, [1, 2])
        self.assertEqual(int(self.model.optimizer.iterations), 6)
