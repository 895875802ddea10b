"""Runs the examples in the docstrings of all public names.

An example may use what its reader has: a `model`, a `network` for one,
`images`, `labels`, an `attack`, and the datasets `ds`, `train_ds` and
`test_ds`. What is too large for a test, or needs files that are not here, is
replaced by what `SMALLER` says.
"""

import collections
import inspect
import os
import pathlib
import re
import sys
import unittest.mock

import keras
import matplotlib.pyplot
import numpy as np
import pytest
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from tests.photographs import encoded
from tests.photographs import gray
from tests.photographs import write_folder
from tests.test_case import TestCase

DOCS = pathlib.Path(keras_sat.__file__).parents[1] / "docs"
with unittest.mock.patch.object(sys, "path", [str(DOCS), *sys.path]):
    from building import public_names

BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
RESNET = ('keras_sat.resnet(50, activation="silu")', "small()")
LOAD = ("keras_sat.data.load", "load")
PRETRAINED = ("EfficientNetV2B0(", "MobileNetV3Small(weights=None, ")
# From names to pairs of texts in their examples, and what stands there instead.
SMALLER = {
    "keras_sat": [RESNET, ("test_ds)", "test_ds, [attack], diagnose=False)")],
    "keras_sat.APGD": [("target_classes=9", "target_classes=9, steps=3")],
    "keras_sat.FAB": [("epsilon=8 / 255", "epsilon=8 / 255, steps=3")],
    "keras_sat.FreeTraining": [("replays=8", "replays=2"), ("100 // 8", "1")],
    "keras_sat.SATModel": [RESNET, ("epochs=100", "epochs=2")],
    "keras_sat.Square": [("queries=1000", "queries=10")],
    "keras_sat.callbacks.Resume": [("epochs=100", "epochs=2")],
    "keras_sat.convergence_curve": [("(1, 10, 100)", "(1, 2)")],
    "keras_sat.convert_activations": [
        (
            "keras.applications.MobileNetV3Large(",
            "keras.applications.MobileNetV3Large(weights=None, ",
        )
    ],
    "keras_sat.data.Augmentation": [LOAD],
    "keras_sat.data.cifar10": [("keras_sat.data.cifar10", "cifar10")],
    "keras_sat.data.idx_folder": [("keras_sat.data.idx_folder", "load")],
    "keras_sat.data.image_folder": [
        ("training=True", "training=True, batch_size=2"),
        ("keras_sat.resnet(50, ", "small("),
    ],
    "keras_sat.data.load": [LOAD],
    "keras_sat.distribution.keep_compilations": [
        ("keras_sat.distribution.keep_compilations", "str"),
        ("jit_compile=True", "diagnose=False"),
    ],
    "keras_sat.efficientnet": [('"l1"', '"b0"')],
    "keras_sat.evaluation.adversarial_pictures": [
        ("image_size=128", "image_size=8, batch_size=2")
    ],
    "keras_sat.evaluate_robustness": [
        ("epsilon=8 / 255", "epsilon=8 / 255, diagnose=False")
    ],
    "keras_sat.export.saved_model": [("report=report", "report=None")],
    "keras_sat.load_classifier": [("test_ds)", "test_ds, diagnose=False)")],
    "keras_sat.load_official_checkpoint": [
        RESNET,
        ("keras_sat.load_official_checkpoint", "load_weights"),
    ],
    "keras_sat.load_torch_checkpoint": [
        ("keras_sat.load_torch_checkpoint", "load_weights")
    ],
    "keras_sat.models.with_new_head": [PRETRAINED],
    "keras_sat.plots.training_curves": [("epochs=10", "epochs=2")],
    "keras_sat.recipes.Recipe": [
        LOAD,
        ("recipe.model()", "recipe.model(small())"),
        ("epochs=recipe.epochs", "epochs=1"),
    ],
    "keras_sat.recipes.finetune": [
        PRETRAINED,
        ("keras_sat.data.image_folder", "cifar10"),
        ("keras_sat.recipes.train", "recipes_train"),
    ],
    "keras_sat.recipes.train": [
        LOAD,
        ("keras_sat.recipes.train", "recipes_train"),
    ],
    "keras_sat.robustbench": [
        (', "Wang2023Better_WRN-28-10.pt"', ""),
        ("Wang2023Better_WRN-28-10", "Andriushchenko2020Understanding"),
    ],
    "keras_sat.resnext": [("resnext(50", "resnext(50, num_classes=2")],
    "keras_sat.save_preset": [("test_ds)", "test_ds, diagnose=False)")],
    "keras_sat.strategy": [RESNET],
}


def documented():
    """Yields names and the objects that they belong to, modules included."""
    for name, module in public_names.modules().items():
        yield name, module
    for entry in public_names.entries():
        if entry.is_constant:
            continue
        yield entry.name, entry.value
        if inspect.isclass(entry.value):
            for name in public_names.methods(entry.value):
                yield f"{entry.name}.{name}", getattr(entry.value, name)


def examples():
    """Returns the blocks of code in docstrings, from names to lists."""
    found = {
        name: BLOCK.findall(inspect.getdoc(value) or "")
        for name, value in documented()
    }
    return {name: blocks for name, blocks in found.items() if blocks}


EXAMPLES = examples()


def small(num_classes=10):
    """Returns a network that compiles quickly."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(num_classes),
        ]
    )


class Reader:
    """What the reader of an example has.

    The network is wrong about all images: attacks have nothing left to do.
    """

    def __init__(self):
        self.images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
        model = keras_sat.SATModel(small())
        logits = model(self.images.astype("float32")).numpy()
        self.labels = logits.argmin(axis=-1)
        self.model = model
        self.dataset = tf.data.Dataset.from_tensor_slices(
            (self.images.astype("float32"), self.labels)
        ).batch(2)
        self.dataset.num_classes = 10
        self.dataset.num_batches = 2
        self.dataset.class_names = tuple("abcdefghij")

    def names(self):
        """Returns the names that an example can use."""
        return {
            "app": unittest.mock.Mock(),
            "attack": keras_sat.PGD(steps=2),
            "center_crop_and_resize": (
                keras_sat.preprocessing.center_crop_and_resize
            ),
            "activation_sites": keras_sat.activation_sites,
            "cifar10": lambda *_, **__: (self.dataset, self.dataset),
            "collections": collections,
            "contents": encoded(gray(128)),
            "ds": self.dataset,
            "images": self.images.astype("float32"),
            "keras": keras,
            "keras_sat": keras_sat,
            "labels": self.labels,
            "load": lambda *_, **__: self.dataset,
            "load_weights": lambda model, path: (model, path),
            "main": lambda argv: argv,
            "model": self.model,
            "network": small(),
            "np": np,
            "plots": keras_sat.plots,
            "preprocessing": keras_sat.preprocessing,
            "recipes_train": lambda *_: (self.model, None),
            "small": small,
            "test_ds": self.dataset,
            "train_ds": self.dataset,
        }


class DocstringExamplesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.get_temp_dir())
        self.addCleanup(matplotlib.pyplot.close, "all")
        keras.config.disable_interactive_logging()
        self.addCleanup(keras.config.enable_interactive_logging)

    @parameterized.parameters(*sorted(EXAMPLES))
    @pytest.mark.large
    def test_the_example_runs(self, name):
        names = Reader().names()
        for block in EXAMPLES[name]:
            # The files that some readers have.
            for folder in ("flowers/train", "flowers/test"):
                if folder in block:
                    write_folder(folder, count=4)
            if "model.keras" in block:
                names["model"].save("model.keras")
            if "RobustnessReport.load" in block:
                report = keras_sat.evaluate_robustness(
                    names["model"],
                    names["ds"],
                    [names["attack"]],
                    diagnose=False,
                    verbose=0,
                )
                report.save("relu")
                report.save("silu")
            for old, new in SMALLER.get(name, ()):
                self.assertIn(old, block)
                block = block.replace(old, new)
            exec(compile(block, name, "exec"), names)

    def test_only_names_with_examples_have_smaller_ones(self):
        self.assertContainsSubset(SMALLER, EXAMPLES)
