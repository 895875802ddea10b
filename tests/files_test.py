"""Tests of files that are written whole, and by one process at a time."""

import contextlib
import errno
import json
import os
import pathlib
import resource
import signal
import socket
import threading
from unittest import mock

import filelock
import keras
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat import files
from tests import processes
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


@contextlib.contextmanager
def another_process(*paths):
    """Starts a process that writes to paths; a folder ends with a slash."""
    process = processes.start("writer", *map(str, paths))
    try:
        if process.stdout.readline() != "writing\n":
            raise AssertionError(process.stderr.read())
        yield process
    finally:
        process.kill()
        process.communicate()


class AloneTest(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "new" / "file"
        self.note = self.path.parent / ".file.lock.json"

    def test_a_lock_leaves_nothing_and_can_be_taken_again(self):
        for inside in (False, True):
            for _ in range(2):
                with files.alone("path", self.path, inside):
                    with files.alone("path", self.path, inside):
                        pass
                    # Still held.
                    self.assertLen(list(self.folder.rglob(".*.lock.json")), 1)
                self.assertEmpty(list(self.folder.rglob(".*")))
        with self.assertRaises(KeyboardInterrupt):
            with files.alone("path", self.path):
                raise KeyboardInterrupt
        self.assertEmpty(list(self.folder.rglob(".*")))

    def test_another_thread_is_refused(self):
        errors = []

        def write():
            try:
                with files.alone("state_path", self.path):
                    pass
            except ValueError as error:
                errors.append(str(error))

        with files.alone("state_path", self.path):
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            self.assertTrue(self.note.exists())
        self.assertRegex(
            errors[0],
            "`state_path` must be written to by one process at a time. Received"
            " '.*/file', to which another thread of this process is writing",
        )

    @parameterized.parameters("below a file", "in /proc")
    def test_a_place_that_cannot_be_written_is_refused(self, where):
        (self.folder / "file").touch()
        path = self.folder / "file" / "a" / "b"
        if where == "in /proc":
            path = pathlib.Path("/proc/none/b")
        for inside, kind in ((False, "file"), (True, "folder")):
            with self.assertRaisesRegex(
                ValueError,
                f"`place` must be a {kind} that can be written. Received "
                f"'{path}'",
            ):
                with files.alone("place", path, inside):
                    pass

    def test_a_note_of_another_machine_is_a_warning(self):
        self.path.parent.mkdir()
        note = {"process": 7, "host": "elsewhere", "since": "yesterday"}
        self.note.write_text(json.dumps(note))
        with self.assertLogs("absl", "WARNING") as logs:
            with files.alone("path", self.path):
                self.assertEqual(
                    json.loads(self.note.read_text())["process"], os.getpid()
                )
        self.assertIn("process 7 on elsewhere", logs.output[0])
        # One of this machine is of a process that ended: its lock was free.
        note |= {"host": socket.gethostname()}
        self.note.write_text(json.dumps(note))
        with self.assertNoLogs("absl", "WARNING"):
            with files.alone("path", self.path):
                pass

    def test_where_there_are_no_locks_a_warning_says_so(self):
        none = OSError(errno.ENOLCK, "No locks available")
        with (
            mock.patch.object(filelock.FileLock, "acquire", side_effect=none),
            self.assertLogs("absl", "WARNING") as logs,
            files.alone("path", self.path),
        ):
            self.path.touch()
        self.assertIn("There are no locks at", logs.output[0])

    def test_addresses_of_other_file_systems_are_left_alone(self):
        for path in (None, "gs://bucket/model"):
            with files.alone("path", path):
                pass
        self.assertFalse(os.path.exists("gs:"))


class FullDiskTest(TestCase):
    """A failure leaves what was there, and nothing else."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.network, self.images, self.labels = self.tiny_classifier()
        self.model = keras_sat.SATModel(self.network)

    def files(self):
        paths = self.folder.rglob("*")
        return {path: path.read_bytes() for path in paths if path.is_file()}

    def write(self, writer):
        data = self.images, self.labels
        if writer == "report":
            keras_sat.evaluate_robustness(
                self.model, data, "apgd-ce", verbose=0
            ).save(self.folder)
        elif writer == "plot":
            softplus = keras_sat.activations.get("softplus")
            path = self.folder / "plot.png"
            keras_sat.plots.activations({"softplus": softplus}, path=path)
        elif writer == "model.keras":
            self.model.save(self.folder / writer)
        elif writer == "litert":
            path = self.folder / "model.tflite"
            self.model.export(path, "litert", overwrite=True)
        else:
            self.model.export(self.folder / "saved", overwrite=True)

    @parameterized.parameters(
        "report", "plot", "model.keras", "litert", "export"
    )
    @pytest.mark.large
    def test_a_full_disk_leaves_what_was_there(self, writer):
        self.write(writer)
        before = self.files()
        self.assertNotEmpty(before)
        for weight in self.network.weights:
            weight.assign_add(0.1 * tf.ones_like(weight))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
        try:
            with self.assertRaises((OSError, ValueError, tf.errors.OpError)):
                self.write(writer)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        after = self.files()
        self.assertEqual(sorted(before), sorted(after))
        self.assertEqual(before, after)
        self.write(writer)

    def test_a_failure_leaves_the_weights_that_were_there(self):
        path = self.folder / "model.weights.h5"
        self.model.save_weights(path)
        before = self.files()

        def half(model, path, **_):
            pathlib.Path(path).write_bytes(b"half")
            raise OSError("No space left on device")

        with (
            mock.patch.object(keras.Model, "save_weights", half),
            self.assertRaisesRegex(OSError, "No space"),
        ):
            self.model.save_weights(path)
        self.assertEqual(before, self.files())

    def test_places_that_cannot_be_written_are_named(self):
        (self.folder / "file").write_text("precious")
        below = self.folder / "file" / "below"
        report = keras_sat.evaluate_robustness(
            *(self.model, (self.images, self.labels), "apgd-ce"),
            diagnose=False,
            verbose=0,
        )
        softplus = {"softplus": keras_sat.activations.get("softplus")}
        for argument, kind, path, write in (
            ("directory", "folder", below, report.save),
            ("directory", "folder", below, self.standard),
            (
                *("path", "file", f"{below}.png"),
                lambda path: keras_sat.plots.activations(softplus, path=path),
            ),
            ("filepath", "file", f"{below}.keras", self.model.save),
            (
                *("filepath", "file", f"{below}.weights.h5"),
                self.model.save_weights,
            ),
        ):
            with self.assertRaisesRegex(
                ValueError,
                f"`{argument}` must be a {kind} that can be written. Received "
                f"'{path}'",
            ):
                write(path)
        with self.assertRaisesRegex(ValueError, "`filepath` must end with"):
            self.model.save(self.folder / "model.h5")
        self.assertEqual(os.listdir(self.folder), ["file"])

    def standard(self, path):
        data = tf.data.Dataset.from_tensors((self.images, self.labels))
        keras_sat.callbacks.standard(self.model, path, data)

    def test_folders_around_what_is_written_are_created(self):
        folder = self.folder / "a" / "b"
        softplus = {"softplus": keras_sat.activations.get("softplus")}
        # Without an extension it becomes a PNG.
        keras_sat.plots.activations(softplus, path=folder / "plot")
        self.model.save(folder / "c" / "model.keras")
        names = {path.name for path in self.files()}
        self.assertEqual(names, {"plot.png", "model.keras"})


class EntrancesTest(TestCase):
    """Everything that writes for long is refused while another does so."""

    @pytest.mark.large
    def test_every_entrance_is_refused_until_the_other_process_is_dead(self):
        folder = pathlib.Path(self.get_temp_dir())
        network, images, labels = self.tiny_classifier()
        model = keras_sat.SATModel(network)
        data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
        # As those of `keras_sat.data` do, which recipes train on.
        data.class_names, data.num_classes, data.num_batches = "abcde", 5, 2
        callbacks = keras_sat.callbacks

        def fit(*chosen):
            model.fit(data, validation_data=data, callbacks=chosen, verbose=0)

        def evaluate(**options):
            options |= {"diagnose": False, "verbose": 0}
            keras_sat.evaluate_robustness(model, data, "apgd-ce", **options)

        entrances = {
            folder / "run": lambda path: fit(
                *callbacks.standard(model, path, data)
            ),
            folder / "resume": lambda path: fit(callbacks.Resume(path)),
            folder / "images": lambda path: fit(
                callbacks.AdversarialImages(data, path, 1)
            ),
            folder / "recipe": lambda path: keras_sat.recipes.train(
                keras_sat.recipes.cifar10(), data, data, path
            ),
            folder / "kept": lambda path: evaluate(adversarial_dir=path),
            folder / "best.keras": lambda path: fit(
                callbacks.BestCheckpoint(path)
            ),
            folder / "state": lambda path: evaluate(state_path=path),
            folder / "saved": model.export,
            folder / "a.tflite": lambda path: model.export(path, "litert"),
        }
        held = [
            path
            if path.suffix or path.name in ("state", "saved")
            else f"{path}/"
            for path in entrances
        ]
        with another_process(*held) as other:
            for path, enter in entrances.items():
                with self.subTest(path.name):
                    with self.assertRaisesRegex(
                        ValueError,
                        "must be written to by one process at a time.*"
                        f"'{path}', to which process {other.pid} on "
                        f"{socket.gethostname()} \\(since .*End that process",
                    ):
                        enter(path)
                    # Nothing was begun.
                    visible = path.exists() and [
                        p for p in path.iterdir() if p.name[0] != "."
                    ]
                    self.assertFalse(visible)
            other.send_signal(signal.SIGKILL)
            other.wait()
        # It had no time to let its locks go.
        self.assertNotEmpty(list(folder.glob(".*.lock.json")))
        for name in ("resume", "best.keras", "state"):
            entrances[folder / name](folder / name)
        fit(*callbacks.standard(model, folder / "run", data))
        self.assertTrue((folder / "best.keras").exists())
        self.assertEmpty(list((folder / "run").rglob(".*")))
        left = {path.name for path in folder.glob(".*")}
        self.assertEqual(
            left,
            {".saved.lock", ".saved.lock.json"}
            | {".a.tflite.lock", ".a.tflite.lock.json"},
        )

    def test_two_trainings_at_once_end_in_words(self):
        folder = self.get_temp_dir()
        network, images, labels = self.tiny_classifier()

        class Other(keras_sat.callbacks.Resume):
            def on_epoch_begin(self, epoch, logs=None):
                super().on_epoch_begin(epoch, logs)
                process = processes.start("resume", f"--directory={folder}")
                _, self.words = processes.finish(process, code=1)

        resume = Other(folder)
        keras_sat.SATModel(network).fit(
            images, labels, callbacks=[resume], verbose=0
        )
        self.assertIn(f"to which process {os.getpid()} on", resume.words)
        self.assertLen(os.listdir(folder), 1)
        self.assertTrue(np.load(f"{folder}/{os.listdir(folder)[0]}").files)
