"""Tests of exports that end before they are complete."""

import os
import pathlib
import shutil

import pytest
import tensorflow as tf

from tests.export.exported import NAMES
from tests.export.exported import ExportTest


class UnfinishedTest(ExportTest):
    def test_an_older_export_is_replaced_whole(self):
        self.export(class_names=NAMES)
        stale = pathlib.Path(self.path) / "stale"
        stale.touch()
        answer = self.export()["serving_default"](images=self.images)
        self.assertIn(answer["top_names"][0, 0], [b"0", b"1", b"2", b"3", b"4"])
        self.assertFalse(stale.exists())
        self.assertEqual(os.listdir(self.folder), ["model"])

    @pytest.mark.large
    def test_a_failing_export_leaves_the_older_one(self):
        self.export()

        def fail(*_, **__):
            raise OSError("The disk is full.")

        rename = tf.io.gfile.rename

        def fail_second(source, target, **options):
            if source.endswith(".tmp"):
                fail()
            rename(source, target, **options)

        for name, fails in (("makedirs", fail), ("rename", fail_second)):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(tf.io.gfile, name, fails)
                with self.assertRaisesRegex(OSError, "disk is full"):
                    self.export(class_names=NAMES)
            self.assertEqual(os.listdir(self.folder), ["model"])
            loaded = tf.saved_model.load(self.path).signatures
            answer = loaded["serving_default"](images=self.images)
            self.assert_close(answer["logits"], self.predict(self.images))

    def test_what_a_killed_export_has_left_is_put_right(self):
        self.export()
        # Killed between the two renames.
        shutil.move(self.path, f"{self.path}.7-0123abcd.old")
        for name in ("model.7-0123abcd.tmp", "model.8.tmp", "model.tmp"):
            os.makedirs(os.path.join(self.folder, name, "variables"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tf.io.gfile, "makedirs", None)
            with self.assertRaises(TypeError):
                self.export()
        self.assertCountEqual(os.listdir(self.folder), ["model", "model.tmp"])
        self.assertTrue(tf.saved_model.contains_saved_model(self.path))
