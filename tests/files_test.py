"""Tests of `keras_sat.files`."""

import os
import pathlib

from keras_sat import files
from tests.test_case import TestCase


class WriteTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "file"

    def test_a_file_is_made_and_replaced(self):
        for text in ("first, and longer", "sécond"):
            files.write_text(self.path, text)
            self.assertEqual(self.path.read_text("utf-8"), text)
            self.assertEqual(os.listdir(self.folder), ["file"])

    def test_what_was_there_survives_a_failure_midway(self):
        self.path.write_text("old")

        def fail(file):
            file.write(b"new" * 100_000)
            # What is seen from outside meanwhile.
            self.assertEqual(self.path.read_text(), "old")
            raise OSError("No space left on device")

        with self.assertRaisesRegex(OSError, "No space left"):
            files.write(self.path, fail)
        self.assertEqual(self.path.read_text(), "old")
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_a_first_file_that_fails_leaves_nothing(self):
        def interrupted(file):
            file.write(b"half")
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            files.write(self.path, interrupted)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_full_disk_is_told_and_leaves_the_old_file(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("Needs /dev/full.")
        self.path.write_text("old")

        def fill(_):
            with open("/dev/full", "wb") as full:
                full.write(b"x")

        with self.assertRaises(OSError):
            files.write(self.path, fill)
        self.assertEqual(self.path.read_text(), "old")
        self.assertEqual(os.listdir(self.folder), ["file"])
