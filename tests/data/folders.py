"""Folders of images for tests, and readings of datasets."""

import builtins
import pathlib
import tempfile
from unittest import mock

import numpy as np

from keras_sat import data
from tests import photographs
from tests.test_case import TestCase

STEP = 10


def collect(dataset):
    """Returns all images and all labels of a dataset, in its order."""
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def without(package):
    """Lets imports of a package fail as if it were not installed."""
    real_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(f"No module named {package!r}", name=package)
        return real_import(name, *args, **kwargs)

    return mock.patch.object(builtins, "__import__", refuse)


class Temporary(TestCase):
    def folder(self):
        """Returns a new folder, which is removed after the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name)


class GrayFolder(Temporary):
    """A folder of two classes with 12 images each."""

    def setUp(self):
        super().setUp()
        self.root = self.folder()
        # One gray level each, by which an image is recognized.
        for i in range(24):
            self.write(f"{'ab'[i % 2]}/{i:02}.png", photographs.gray(STEP * i))

    def write(self, name, image, file_format="PNG", **options):
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photographs.encoded(image, file_format, **options))

    def dataset(self, **options):
        options = {"batch_size": 4, "image_size": 8} | options
        return data.image_folder(self.root, **options)

    def numbers(self, dataset):
        """Returns the numbers of the images in their order."""
        return [int(image[0, 0, 0]) // STEP for image in collect(dataset)[0]]
