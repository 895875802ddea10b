"""Compilations that a second process finds, and those it must not use."""

import os
import pathlib
import subprocess
import sys
from unittest import mock

import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from keras_sat import distribution
from keras_sat.distribution import compilation_cache
from tests.test_case import TestCase

PROGRAM = "tests.programs.kept_compilations"


def entries(folder):
    """Returns a dict from the entries in a folder to when they were written."""
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob("*.pb")}


class CompilationCacheTest(TestCase):
    def run_program(self, folder):
        """Runs the program in a process of its own; returns its lines."""
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    @pytest.mark.large
    def test_a_second_process_compiles_nothing(self):
        folder = pathlib.Path(self.get_temp_dir())
        used, outcomes, too_late = self.run_program(folder)
        self.assertIn(tf.__version__, used)
        self.assertIn("before TensorFlow computes anything", too_late)
        written = entries(folder)
        # The logits and the gradient, at least.
        self.assertGreaterEqual(len(written), 2)
        self.assertEqual(self.run_program(folder)[1], outcomes)
        # What is compiled is written, and nothing was written again.
        self.assertEqual(entries(folder), written)
        for path in folder.rglob("*.pb"):
            path.unlink()
        self.assertEqual(self.run_program(folder)[1], outcomes)
        self.assertEqual(set(entries(folder)), set(written))

    def test_the_flag_is_added_to_those_that_are_set(self):
        before = (
            "--tf_xla_max_cluster_size=9 --tf_xla_persistent_cache_directory=x"
        )
        with (
            mock.patch.dict(os.environ, {"TF_XLA_FLAGS": before}),
            mock.patch.object(context, "context") as current,
        ):
            current.return_value._initialized = False
            folder = distribution.keep_compilations(self.get_temp_dir())
            self.assertEqual(
                os.environ["TF_XLA_FLAGS"],
                before.removesuffix("x") + str(folder),
            )
            self.assertTrue(folder.is_dir())
            with self.assertRaisesRegex(ValueError, "no space in its path"):
                distribution.keep_compilations("a folder")

    def test_once_tensorflow_has_started_it_is_too_late(self):
        tf.constant(1) + 1
        folder = pathlib.Path(self.get_temp_dir()) / "new"
        with self.assertRaisesRegex(RuntimeError, "right after the imports"):
            distribution.keep_compilations(folder)
        self.assertFalse(folder.exists())

    def test_another_version_or_processor_has_another_folder(self):
        here = compilation_cache._machine()
        self.assertEqual(compilation_cache._machine(), here)
        with mock.patch.object(tf, "__version__", "9.9"):
            self.assertNotEqual(compilation_cache._machine(), here)
        other = "flags : sse2 avx"
        with mock.patch.object(pathlib.Path, "read_text", return_value=other):
            self.assertNotEqual(compilation_cache._machine(), here)
