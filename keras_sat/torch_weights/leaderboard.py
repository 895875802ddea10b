"""The networks of RobustBench that this package can build."""

import csv
import dataclasses
import difflib
import fractions
import functools
import pathlib

from keras_sat import checks
from keras_sat import models
from keras_sat.torch_weights.checkpoints import load_torch_checkpoint

# The table, made from RobustBench's own (github.com/RobustBench/robustbench,
# commit 78fcc9e of 2025-03-31), with a line for each entry.
TABLE = pathlib.Path(__file__).with_name("robustbench.csv")
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
# The sizes of images, by how they are cut out of a photograph.
SIZES = {
    "": 32,
    "BicubicRes256Crop224": 224,
    "Crop288": 288,
    "Res256Crop224": 224,
}
# From kinds of networks to their builders. The first arguments are made of the
# numbers or the word in the column `size`.
NETWORKS = {
    "cifar_resnet": functools.partial(models.resnet, stem="small"),
    "convnext": models.convnext,
    "convnext_convstem": functools.partial(models.convnext, stem="conv"),
    "dm_preact_resnet": functools.partial(
        models.preact_resnet, shortcut="input", shortcut_size=3, padding="same"
    ),
    "dm_wide_resnet": functools.partial(models.wide_resnet, padding="same"),
    "preact_resnet": functools.partial(
        models.preact_resnet, final_normalization=False, shortcut="input"
    ),
    "preact_resnet_v2": models.preact_resnet,
    "resnet": functools.partial(models.resnet, pool_padding="symmetric"),
    "wide_resnet": models.wide_resnet,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobustBenchEntry:
    """A network of the leaderboards of RobustBench.

    Args:
        name: str. As RobustBench calls it, such as
            `"Wang2023Better_WRN-28-10"`.
        dataset: str. `"cifar10"`, `"cifar100"` or `"imagenet"`.
        threat_model: str. `"linf"` or `"l2"`.
        epsilon: float. The radius of the attack, of pixels in `[0, 1]`.
        network: str. The kind of network: a key of `NETWORKS`.
        size: str. Its depth and width, such as `"28-10"`, or its variant.
        activation: str. See `keras_sat.activations.get`.
        normalization: pair. See `normalization` of the builders.
        preprocessing: str. How RobustBench cuts images out of photographs, such
            as `"Res256Crop224"`; empty for the data sets of small images.
        entry: str, or `None`. See `load_torch_checkpoint`.
        clean_accuracy: float in `[0, 1]`, on the test images: all 10,000 of
            CIFAR, and 5,000 of ImageNet.
        robust_accuracy: float in `[0, 1]`. Under AutoAttack.
        paper: str. The address of the publication.
    """

    name: str
    dataset: str
    threat_model: str
    epsilon: float
    network: str
    size: str
    activation: str
    normalization: tuple
    preprocessing: str
    entry: str | None
    clean_accuracy: float
    robust_accuracy: float
    paper: str

    def build(self):
        """Builds the network, with weights that are not trained.

        Returns:
            `keras.Model` from images in `[0, 1]` to logits.
        """
        numbers = self.size.split("-")
        options = {}
        if self.network == "resnet" and len(numbers) == 2:
            # ResNet-50 whose 3x3 convolutions have twice the channels.
            options["group_width"] = 64 * int(numbers.pop())
        size = [int(n) if n.isdecimal() else n for n in numbers]
        pixels = SIZES[self.preprocessing]
        return NETWORKS[self.network](
            *size,
            activation=self.activation,
            num_classes=CLASSES[self.dataset],
            input_shape=(pixels, pixels, 3),
            normalization=self.normalization,
            **options,
        )


def robustbench(name, path=None, dataset="cifar10", threat_model="linf"):
    """Builds a network of RobustBench, and loads its weights.

    Nothing is downloaded: get the file from
    [RobustBench](https://github.com/RobustBench/robustbench), whose
    `load_model` puts it into the folder `models`.

    Args:
        name: str. As RobustBench calls it; `robustbench_entries` lists all.
        path: str or path-like. The file with the weights. By default, none are
            loaded.
        dataset: str. `"cifar10"`, `"cifar100"` or `"imagenet"`. Defaults to
            `"cifar10"`.
        threat_model: str. `"linf"` or `"l2"`. Defaults to `"linf"`.

    Returns:
        `keras.Model` from images in `[0, 1]` to logits.

    Raises:
        ImportError: See `load_torch_checkpoint`.
        TypeError: If `path` is not a path.
        ValueError: If there is no such network, or if the file does not hold
            its weights; see `load_torch_checkpoint`.

    Example:

    ```python
    model = keras_sat.robustbench(
        "Wang2023Better_WRN-28-10", "Wang2023Better_WRN-28-10.pt"
    )
    ```

    Reference:
    - [Croce et al., 2021](https://arxiv.org/abs/2010.09670)
    """
    checks.one_of("dataset", dataset, CLASSES)
    checks.one_of("threat_model", threat_model, ("l2", "linf"))
    found = [entry for entry in robustbench_entries() if entry.name == name]
    fitting = [
        entry
        for entry in found
        if (entry.dataset, entry.threat_model) == (dataset, threat_model)
    ]
    if not fitting:
        _refuse(name, found, dataset, threat_model)
    model = fitting[0].build()
    if path is not None:
        load_torch_checkpoint(model, path, fitting[0].entry)
    return model


@functools.cache
def robustbench_entries():
    """Lists the networks of RobustBench that this package can build.

    Returns:
        Tuple of `RobustBenchEntry`.

    Example:

    ```python
    best = max(
        (e for e in keras_sat.torch_weights.robustbench_entries()
         if e.dataset == "cifar10" and e.threat_model == "linf"),
        key=lambda e: e.robust_accuracy,
    )
    ```
    """
    with open(TABLE, encoding="utf-8", newline="") as file:
        return tuple(_entry(**row) for row in csv.DictReader(file))


def _entry(
    epsilon, normalization, entry, clean_accuracy, robust_accuracy, **rest
):
    """Returns an entry from the texts of a line of the table."""
    return RobustBenchEntry(
        epsilon=float(fractions.Fraction(epsilon)),
        normalization=_statistics(normalization),
        entry=entry or None,
        clean_accuracy=float(clean_accuracy) / 100,
        robust_accuracy=float(robust_accuracy) / 100,
        **rest,
    )


def _statistics(text):
    """Returns the mean and the standard deviation of pixels from a text."""
    if text == "none":
        return 0.0, 1.0
    return tuple(
        tuple(float(number) for number in part.split(","))
        for part in text.split(" ")
    )


def _refuse(name, found, dataset, threat_model):
    """Refuses a name, and says where it is or what is like it."""
    names = {entry.name for entry in robustbench_entries()}
    fix = f"Like it: {difflib.get_close_matches(str(name), names)}."
    if found:
        places = [(entry.dataset, entry.threat_model) for entry in found]
        fix = f"It has these pairs of `dataset` and `threat_model`: {places}."
    checks.refuse(
        "name",
        f"be a network for dataset={dataset!r} and "
        f"threat_model={threat_model!r} of `robustbench_entries`",
        name,
        fix,
    )
