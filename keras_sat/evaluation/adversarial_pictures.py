"""Adversarial images as picture files, beside the clean ones."""

import dataclasses
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf

from keras_sat import checks
from keras_sat import files
from keras_sat.evaluation.evaluated_model import EvaluatedModel
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.robustness import evaluate_robustness
from keras_sat.preprocessing.value_range import to_grey_levels


@dataclasses.dataclass(frozen=True)
class AdversarialPictures:
    """A report of pictures that were attacked, and counts of their files.

    Args:
        report: `RobustnessReport` of the attacks, not diagnosed.
        directory: str. Where the files are.
        broken: int. How many pictures an attack has broken.
        broken_as_saved: int. How many of those the model still gets wrong when
            their pixels are rounded to the 256 levels of a file.
    """

    report: RobustnessReport
    directory: str
    broken: int
    broken_as_saved: int

    def __str__(self):
        report = self.report
        right = round(report.clean_accuracy * report.num_images)
        return (
            f"{report.num_images} pictures in {self.directory}\n"
            f"{right} are classified right, of which {self.broken} are broken "
            f"by {', '.join(report.attacks)}\n"
            f"within {report.epsilon:.5f} ({report.norm}), "
            f"{self.broken_as_saved} of them also as files of 8 bits"
        )


def adversarial_pictures(
    model,
    dataset,
    directory,
    attacks="apgd-ce",
    epsilon=None,
    norm=None,
    *,
    names=None,
    value_range=None,
    seed=0,
    verbose=1,
):
    """Attacks images, and writes the clean and the adversarial ones as PNG.

    An image named `name` becomes `name-clean.png`, and, if an attack breaks it,
    `name-adversarial.png`: within the ball, also after the pixels are rounded
    to 256 levels for `norm="linf"`.

    Args:
        model, dataset, attacks, epsilon, norm, value_range, seed, verbose: see
            `evaluate_robustness`.
        directory: str or path-like. It is created; files in it that have the
            same names are replaced.
        names: sequence of str, one for each image, or more: names of files
            without an ending, also with folders. Defaults to their numbers.

    Returns:
        `AdversarialPictures`.

    Raises:
        TypeError: If an argument is of a kind that cannot be used.
        ValueError: See `evaluate_robustness`; if there are too few names, or if
            `directory` cannot be written.

    Example:

    ```python
    ds = keras_sat.data.image_folder("flowers/test", image_size=128)
    print(keras_sat.evaluation.adversarial_pictures(model, ds, "attacked"))
    ```
    """
    directory = checks.path("directory", directory)
    files.folder_to_write("directory", directory)
    evaluated = EvaluatedModel(model, value_range)
    broken = broken_as_saved = first = 0
    with tempfile.TemporaryDirectory() as arrays:
        report = evaluate_robustness(
            model,
            dataset,
            attacks,
            epsilon,
            norm,
            value_range=value_range,
            seed=seed,
            adversarial_dir=arrays,
            diagnose=False,
            verbose=verbose,
        )
        _check_names(names, report.num_images)
        for path in sorted(pathlib.Path(arrays).glob("*.npz")):
            with np.load(path) as file:
                batch = _Pictures(evaluated, report, **file)
            count = len(batch.labels)
            numbers = range(first, first + count)
            batch.write([_path(directory, names, i) for i in numbers])
            broken += int(batch.is_broken.sum())
            broken_as_saved += batch.num_broken_as_saved()
            first += count
    return AdversarialPictures(report, directory, broken, broken_as_saved)


class _Pictures:
    """The images of a batch as grey levels.

    Args:
        evaluated: `EvaluatedModel`.
        report: `RobustnessReport` of the whole evaluation.
        images, adversarial: float arrays `(batch, ...)` in the range of the
            model.
        labels: int array `(batch,)`.
        outcomes: int array `(batch,)`; see `RobustnessReport`.
    """

    def __init__(
        self, evaluated, report, images, adversarial, labels, outcomes
    ):
        self.evaluated, self.labels = evaluated, labels
        self.is_broken = (outcomes >= 0) & (outcomes < len(report.attacks))
        self.clean, self.adversarial = map(self._levels, (images, adversarial))
        if report.norm == "linf":
            # Rounding must not lead out of the ball.
            most = int(255 * report.epsilon + 1e-4)
            self.adversarial = np.clip(
                self.adversarial, self.clean - most, self.clean + most
            )

    def _levels(self, images):
        """Returns images as whole numbers from 0 to 255."""
        levels = to_grey_levels(images, self.evaluated.value_range)
        # Signed, so that the ball around an image can be computed.
        return levels.astype(int)

    def write(self, paths):
        """Writes the files of the images, whose names begin with `paths`."""
        for i, path in enumerate(paths):
            _write_png(f"{path}-clean.png", self.clean[i])
            if self.is_broken[i]:
                _write_png(f"{path}-adversarial.png", self.adversarial[i])

    def num_broken_as_saved(self):
        """Returns how many of the broken images are so in their files, too."""
        low, high = self.evaluated.value_range
        levels = self.adversarial[self.is_broken]
        if not len(levels):
            return 0
        images = (low + levels / 255 * (high - low)).astype("float32")
        right = self.evaluated.is_right(images, self.labels[self.is_broken])
        return int((~right).sum())


def _check_names(names, count):
    """Refuses names that are fewer than the images."""
    if names is not None and len(names) < count:
        checks.refuse(
            "names",
            f"be as many as the images, {count}",
            checks.Described(f"{len(names)} names"),
        )


def _path(directory, names, number):
    """Returns how the paths of the files of an image begin."""
    name = f"{number:06}" if names is None else names[number]
    return os.path.join(directory, name)


def _write_png(path, levels):
    """Writes an image of whole numbers from 0 to 255."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    encoded = tf.io.encode_png(levels.astype("uint8")).numpy()
    files.write(path, lambda file: file.write(encoded))
