"""The report of an evaluation of robustness."""

import dataclasses
import math

import numpy as np

from keras_sat import checks
from keras_sat.evaluation import report_files
from keras_sat.evaluation import report_notebook
from keras_sat.evaluation import report_page
from keras_sat.evaluation import report_text
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.finding import Finding as Finding

# The outcome of an image that is classified wrong without an attack.
MISCLASSIFIED = -1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class RobustnessReport:
    """The outcome of every attack for every image.

    Two reports are equal if all but `seconds` is equal.

    Args:
        labels: int array `(images,)`. The right classes.
        outcomes: int array `(images,)`. -1 where the clean image is
            misclassified, else the index in `attacks` of the first attack that
            succeeded, or `len(attacks)` where none did.
        attacks: tuple of str. Labels of the attacks, in order.
        epsilon: float >= 0. Radius of the ball, as a fraction of the width of
            `value_range`; 0 if no attack was made.
        norm: str. `"linf"` or `"l2"`.
        seed: int. The seed of the random numbers of the attacks.
        settings: dict from the label of each attack to its configuration; and
            from `"view"` to how pictures were cropped and resized, if the
            images come from `keras_sat.data`.
        versions: dict from the names of keras_sat, Keras and TensorFlow to
            their versions.
        warnings: tuple of `Finding`. Reasons to doubt the robust accuracy.
        curves: dict. `"epsilon"` and `"steps"`: accuracies on a part of the
            images, by radius and by number of steps of PGD. Empty if no
            experiments were made.
        seconds: float. How long the attacks took.
        examples: dict of arrays, or `None`. A few images before and after, as
            arguments of `plots.perturbation_grid`.
        clean_predictions: int array `(images,)`, or `None`. The classes that
            are predicted without attacks.
        adversarial_predictions: int array `(images,)`, or `None`. The classes
            that are predicted for the first misclassified images that attacks
            found, or without attacks where they found none.
        class_names: sequence of str, or `None`. The name of each class.
        fingerprint: str, or `None`. A hash of the images in their order, as
            uint8; see `compare`.
        extremes: dict of arrays, or `None`. The worst images and then the
            luckiest ones: `images` and `adversarial`, uint8 `(count, height,
            width, channels)`; for each image its number `rows` in the dataset,
            `labels`, `clean_predictions`, `adversarial_predictions` and `leads`
            (float, the logit of the right class minus the largest other one) on
            the adversarial image, `attacks` (its index in `attacks`, -1 for
            none) and whether it `withstood` all of them.

    What is `None` by default is so in reports of 0.1.0 as well.

    Raises:
        ValueError: If `labels`, `outcomes` and predictions do not fit together.
    """

    labels: np.ndarray
    outcomes: np.ndarray
    attacks: tuple
    epsilon: float
    norm: str
    seed: int
    settings: dict
    versions: dict
    warnings: tuple = ()
    curves: dict = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    examples: dict | None = None
    clean_predictions: np.ndarray | None = None
    adversarial_predictions: np.ndarray | None = None
    class_names: tuple | None = None
    fingerprint: str | None = None
    extremes: dict | None = None

    def __post_init__(self):
        predictions = ("clean_predictions", "adversarial_predictions")
        self._convert(np.asarray, "labels", "outcomes", *predictions)
        self._convert(tuple, "attacks", "warnings", "class_names")
        last = len(self.attacks)
        _check_ids("labels", self.labels, self.outcomes.size, 0, math.inf)
        _check_ids(
            "outcomes", self.outcomes, self.labels.size, MISCLASSIFIED, last
        )
        for name in predictions:
            if getattr(self, name) is not None:
                values, size = getattr(self, name), self.labels.size
                _check_ids(name, values, size, 0, math.inf)

    def _convert(self, kind, *names):
        """Turns what fields were given into what they hold, but not `None`."""
        for name in names:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, kind(getattr(self, name)))

    @property
    def num_images(self):
        """Number of images that were evaluated."""
        return len(self.labels)

    @property
    def clean_accuracy(self):
        """Share of images that are classified right, in `[0, 1]`."""
        return float(np.mean(self.outcomes != MISCLASSIFIED))

    @property
    def accuracy_after(self):
        """Share of images that withstood each attack and those before it."""
        return {
            attack: float(np.mean(self.outcomes > i))
            for i, attack in enumerate(self.attacks)
        }

    @property
    def robust_accuracy(self):
        """Share of images that withstood every attack: the worst case."""
        return float(np.mean(self.outcomes == len(self.attacks)))

    @property
    def interval(self):
        """95% confidence interval (Wilson) of the robust accuracy."""
        return wilson_interval(self.robust_accuracy, self.num_images)

    @property
    def per_class(self):
        """Dict from each class to its number of images and accuracies."""
        table = {}
        for label in np.unique(self.labels):
            outcomes = self.outcomes[self.labels == label]
            robust = outcomes == len(self.attacks)
            table[int(label)] = {
                "images": len(outcomes),
                "clean_accuracy": float(np.mean(outcomes != MISCLASSIFIED)),
                "robust_accuracy": float(np.mean(robust)),
            }
        return table

    @property
    def confusion(self):
        """How often each class is taken for each under attack.

        An int array `(classes, classes)` with the right classes in rows and, in
        columns, the classes of `adversarial_predictions`; `None` if these are
        not known.
        """
        if self.adversarial_predictions is None:
            return None
        pairs = self.labels, self.adversarial_predictions
        names = len(self.class_names or ())
        size = max(names, *(1 + int(ids.max()) for ids in pairs))
        table = np.zeros((size, size), int)
        np.add.at(table, pairs, 1)
        return table

    def class_name(self, label):
        """Returns the name of a class; its number if it has none.

        Args:
            label: int.
        """
        if self.class_names is not None and label < len(self.class_names):
            return self.class_names[label]
        return str(label)

    def __eq__(self, other):
        if not isinstance(other, RobustnessReport):
            return NotImplemented
        return report_files.content(self) == report_files.content(other)

    def __str__(self):
        return report_text.text(self)

    def _repr_html_(self):
        """Returns what notebooks show."""
        return report_notebook.as_html(self)

    def _repr_markdown_(self):
        """Returns what notebooks show where they take no HTML."""
        return report_notebook.as_markdown(self)

    def plot(self, path=None):
        """Draws the accuracy after each attack, and the curves if there are.

        Args:
            path: str or path-like. Where to save the picture, if given.

        Returns:
            `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is missing.
        """
        return report_text.overview(self, path)

    def save_html(self, path):
        """Writes a page for browsers: one file, which loads nothing else.

        It has the accuracies with their intervals, the warnings with advice,
        the curves, the worst and the luckiest images, the classes and what they
        are taken for under attack, and the settings.

        Args:
            path: str or path-like. The file is replaced if it exists; its
                folder is created if it is missing.

        Raises:
            OSError: If the disk is full. A file that was there before stays.
            TypeError: If `path` is no path.
            ValueError: If it cannot be written.
        """
        report_files.write_page("path", path, report_page.page(self))

    def save(self, directory):
        """Writes `report.json`, `report.md`, examples and pictures.

        Each file is written whole or not at all. If writing fails, a report
        that was saved there before can still be loaded.

        Args:
            directory: str or path-like. It is created if it is missing.

        Raises:
            ImportError: If matplotlib is missing and there is something to
                draw. All other files are written before that.
            OSError: If the disk is full.
            ValueError: If the directory cannot be written.
        """
        report_files.save(self, directory)

    @classmethod
    def load(cls, directory):
        """Reads a report that `save` wrote, in this version or an earlier one.

        Args:
            directory: str or path-like. The folder, or the `report.json` in it.

        Returns:
            A report equal to the saved one.

        Raises:
            ValueError: If the directory holds no report, or a damaged one.
        """
        return report_files.load(cls, directory)


def _check_ids(name, values, size, low, high):
    """Checks that values are `size` integers, one or more, in a range.

    Args:
        name: str. The argument, for errors.
        values: array.
        size: int. How many there have to be.
        low, high: numbers. The smallest and the largest that are allowed.
    """
    if values.shape != (size,) or not size or values.dtype.kind not in "iu":
        checks.refuse(
            name,
            "be int `(images,)`, one for each image",
            checks.Described(f"dtype {values.dtype}, shape {values.shape}"),
        )
    if values.min() < low or values.max() > high:
        checks.refuse(
            name,
            f"lie in [{low}, {high}]",
            checks.Described(f"values from {values.min()} to {values.max()}"),
        )
