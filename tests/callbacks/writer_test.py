"""Tests of the base class of callbacks that write files."""

import os
import pathlib

import keras_sat
from keras_sat.callbacks.writer import Writer
from tests.test_case import TestCase


class Noted(Writer):
    """Notes the hidden files that hold its path."""

    def remove_unfinished(self):
        self.removed = True

    def on_epoch_end(self, epoch, logs=None):
        folder = pathlib.Path(os.path.dirname(self._path))
        self.hidden = {path.name for path in folder.rglob(".*")}


class WriterTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())

    def fit(self, callback):
        inner, images, labels = self.tiny_classifier()
        keras_sat.SATModel(inner).fit(
            images, labels, callbacks=[callback], verbose=0
        )

    def test_a_folder_is_created_and_held_while_fit_runs(self):
        callback = Noted(self.folder / "new" / "run")
        self.assertEmpty(os.listdir(self.folder))
        self.fit(callback)
        self.assertTrue(callback.removed)
        self.assertEqual(
            callback.hidden, {".keras_sat.lock", ".keras_sat.lock.json"}
        )
        self.assertTrue((self.folder / "new" / "run").is_dir())
        self.assertEmpty(list(self.folder.rglob(".*")))

    def test_a_file_is_held_beside_it(self):
        callback = Noted(self.folder / "new" / "file", "path")
        self.fit(callback)
        self.assertEqual(callback.hidden, {".file.lock", ".file.lock.json"})
        self.assertFalse((self.folder / "new" / "file").exists())

    def test_errors_name_the_argument(self):
        (self.folder / "file").touch()
        for argument, kind in (("directory", "folder"), ("path", "file")):
            with self.assertRaisesRegex(
                ValueError, f"`{argument}` must be a {kind} that can be written"
            ):
                self.fit(Noted(self.folder / "file" / "below", argument))
