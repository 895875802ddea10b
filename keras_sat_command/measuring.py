"""`keras-sat evaluate` and `keras-sat attack`."""

import os
from typing import Literal

from keras_sat_command import classifiers
from keras_sat_command import pictures
from keras_sat_command import problems
from keras_sat_command.flags import Number
from keras_sat_command.flags import OptionalPair
from keras_sat_command.flags import OptionalWhole
from keras_sat_command.training import Corrupt
from keras_sat_command.training import Devices

Norm = Literal["linf", "l2"]
Crop = Literal["auto", "margin", "centre", "none"]


def evaluate(
    model: str,
    data: str,
    *,
    attacks: tuple[str, ...] = ("standard",),
    epsilon: Number = 4 / 255,
    norm: Norm = "linf",
    images: OptionalWhole = None,
    split: str = "test",
    data_dir: str | None = None,
    batch_size: int = 128,
    image_size: OptionalWhole = None,
    crop: Crop = "auto",
    value_range: OptionalPair = None,
    corrupt: Corrupt = "error",
    output: str | None = None,
    no_diagnose: bool = False,
    strategy: Devices = "auto",
    seed: int = 0,
):
    """Measures how robust a classifier is, and looks for reasons to doubt it.

    Args:
        model: A .keras file, a SavedModel, the folder of a training, or a
            preset.
        data: A folder with a sub-folder of pictures for each class, one with
            the files of MNIST or its family, an .npz file with the arrays
            images and labels, digits, or a name of tensorflow-datasets.
        attacks: standard or rand, the versions of AutoAttack; or some of
            apgd-ce apgd-dlr apgd-t fab fab-t square.
        epsilon: Radius, as a fraction of the range of pixels, like 8/255.
        norm: Norm of the ball.
        images: Number of pictures, spread over all of them; by default all.
        split: Of tensorflow-datasets.
        data_dir: Folder of the prepared tensorflow-datasets.
        batch_size: Pictures at a time.
        image_size: Height and width, if the model takes any.
        crop: Part of a picture to see; auto is what the model knows, or else a
            centre without a margin.
        value_range: Black and white in the model's images, unless it knows.
        corrupt: Whether a broken picture ends the evaluation, or is left out.
        output: Folder for the report and its figures. The same command goes
            on in it after a kill.
        no_diagnose: Do not look for reasons to doubt the number, to be faster.
        strategy: Devices to use.
        seed: Seed of all random numbers.
    """
    pictures.kind_of(data)
    classifiers.path_of(model)
    import keras_sat

    devices = keras_sat.strategy(strategy)
    with devices.scope():
        classifier = classifiers.load(model)
    value_range = _value_range(classifier, value_range)
    view = _view(model, classifier, crop) | {"corrupt": corrupt}
    shape = classifiers.image_shape(classifier, image_size)
    whole = pictures.to_evaluate(
        data, split, shape, value_range, view, batch_size, data_dir
    )
    dataset, _ = pictures.some(whole, images, batch_size)
    state = None
    # Workers would go on from different places, so they start anew.
    if output and not keras_sat.distribution.several_workers(devices):
        state = os.path.join(output, "state.jsonl")
    with (
        devices.scope(),
        problems.arguments(state_path="--output", dataset="DATA"),
    ):
        report = keras_sat.evaluate_robustness(
            classifier,
            dataset,
            _named(attacks),
            epsilon,
            norm,
            value_range=value_range,
            seed=seed,
            state_path=state,
            diagnose=not no_diagnose,
        )
    if output and keras_sat.distribution.is_chief(devices):
        report.save(output)
    return str(report)


def attack(
    model: str,
    data: str,
    output: str,
    *,
    attacks: tuple[str, ...] = ("apgd-ce",),
    epsilon: Number = 4 / 255,
    norm: Norm = "linf",
    images: int = 100,
    split: str = "test",
    data_dir: str | None = None,
    batch_size: int = 64,
    image_size: OptionalWhole = None,
    crop: Crop = "auto",
    value_range: OptionalPair = None,
    seed: int = 0,
):
    """Attacks pictures, and writes the adversarial ones beside the clean ones.

    Args:
        model: A .keras file, a SavedModel, the folder of a training, or a
            preset.
        data: A folder with a sub-folder of pictures for each class, or what
            else `keras-sat evaluate` takes.
        output: Folder for the pictures, PNG files as the model sees them.
        attacks: Names; see `keras-sat evaluate`.
        epsilon: Radius, as a fraction of the range of pixels, like 8/255.
        norm: Norm of the ball.
        images: Number of pictures, spread over all of them.
        split: Of tensorflow-datasets.
        data_dir: Folder of the prepared tensorflow-datasets.
        batch_size: Pictures at a time.
        image_size: Height and width, if the model takes any.
        crop: Part of a picture to see; see `keras-sat evaluate`.
        value_range: Black and white in the model's images, unless it knows.
        seed: Seed of all random numbers.
    """
    pictures.kind_of(data)
    classifiers.path_of(model)
    import keras_sat

    classifier = classifiers.load(model)
    value_range = _value_range(classifier, value_range)
    view = _view(model, classifier, crop)
    shape = classifiers.image_shape(classifier, image_size)
    whole = pictures.to_evaluate(
        data, split, shape, value_range, view, batch_size, data_dir
    )
    dataset, every = pictures.some(whole, images, batch_size)
    names = pictures.names(whole)
    with problems.arguments(directory="OUTPUT", dataset="DATA"):
        saved = keras_sat.evaluation.adversarial_pictures(
            classifier,
            dataset,
            output,
            _named(attacks),
            epsilon,
            norm,
            names=names and names[::every][:images],
            value_range=value_range,
            seed=seed,
        )
    return str(saved)


def _view(model, classifier, crop):
    """Returns options of `data.image_folder` for the pictures of a model."""
    view = classifiers.view_of(model, classifier)
    return view if crop == "auto" else view | {"crop": crop}


def _named(attacks):
    """Returns names of attacks as `evaluate_robustness` takes them."""
    if not attacks:
        problems.wrong("--attacks", "needs a name")
    return attacks[0] if len(attacks) == 1 else attacks


def _value_range(classifier, value_range):
    """Returns black and white for a classifier."""
    if value_range is not None:
        return value_range
    return tuple(getattr(classifier, "value_range", (0.0, 1.0)))
