"""The report of an evaluation of robustness."""

import dataclasses
import io
import json
import math
import os
import pathlib
import zipfile
import zlib

import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat.evaluation import report_notebook
from keras_sat.evaluation import report_text
from keras_sat.evaluation.confidence import wilson_interval

# The outcome of an image that is classified wrong without an attack.
MISCLASSIFIED = -1
# The format of the files. Raise the number when `load` can no longer read
# older ones.
FORMAT = "keras_sat robustness report 1"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason to doubt a robust accuracy, with an explanation and advice.

    Args:
        name: str. A short name, for programs.
        found: str. What was observed, with numbers.
        meaning: str. Why this puts the robust accuracy in doubt.
        remedy: str. What to do.
    """

    name: str
    found: str
    meaning: str
    remedy: str

    def __str__(self):
        return f"{self.name}: {self.found} {self.meaning} {self.remedy}"


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

    Raises:
        ValueError: If `labels` and `outcomes` do not fit together.
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

    def __post_init__(self):
        for name in ("labels", "outcomes"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        object.__setattr__(self, "attacks", tuple(self.attacks))
        object.__setattr__(self, "warnings", tuple(self.warnings))
        last = len(self.attacks)
        _check_ids("labels", self.labels, self.outcomes.size, 0, math.inf)
        _check_ids(
            "outcomes", self.outcomes, self.labels.size, MISCLASSIFIED, last
        )

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

    def __eq__(self, other):
        if not isinstance(other, RobustnessReport):
            return NotImplemented
        return self._content() == other._content()

    def __str__(self):
        return report_text.text(self)

    def _repr_html_(self):
        """Returns what notebooks show."""
        return report_notebook.as_html(self)

    def _repr_markdown_(self):
        """Returns what notebooks show where they take no HTML."""
        return report_notebook.as_markdown(self)

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
        folder = pathlib.Path(directory)
        files.folder_to_write("directory", folder)
        content = self._content() | {"seconds": self.seconds}
        name = content["examples"]
        if name:
            files.write(folder / name, lambda f: f.write(self._packed()))
        # The name of the examples, which stands in `report.json`, has their
        # checksum: until that file is replaced, the old report is complete.
        text = json.dumps(content, indent=1, default=_plain)
        files.write_text(folder / "report.json", text)
        pictures = report_text.pictures(self)
        text = report_text.markdown(self, pictures)
        files.write_text(folder / "report.md", text)
        # Files of an older report would seem to belong to this one.
        for path in folder.glob("examples_*.npz"):
            if path.name != name:
                path.unlink()
        for name in report_text.PICTURES:
            (folder / name).unlink(missing_ok=True)
        for name, draw in pictures.items():
            files.write(folder / name, draw().savefig)

    @classmethod
    def load(cls, directory):
        """Reads a report that `save` wrote.

        Args:
            directory: str or path-like. The folder, or the `report.json` in it.

        Returns:
            A report equal to the saved one.

        Raises:
            ValueError: If the directory holds no report, or a damaged one.
        """
        folder = pathlib.Path(directory)
        if folder.name == "report.json" and not folder.is_dir():
            folder = folder.parent
        try:
            text = (folder / "report.json").read_text("utf-8")
            return cls._parsed(json.loads(text), folder)
        except FileNotFoundError as error:
            problem = f"no file {os.path.basename(error.filename)}"
        except NotADirectoryError:
            problem = "a file"
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        except (EOFError, zipfile.BadZipFile) as error:
            problem = f"damaged examples: {error}"
        return checks.refuse(
            "directory",
            "hold a report as `RobustnessReport.save` writes it",
            checks.Described(f"{os.fspath(directory)!r} ({problem})"),
        )

    @classmethod
    def _parsed(cls, content, folder):
        """Returns the report that the content of `report.json` describes."""
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("report.json is of another format")
        names = [field.name for field in dataclasses.fields(cls)]
        content = {name: content[name] for name in names}
        content["warnings"] = [Finding(**w) for w in content["warnings"]]
        content["curves"] = {
            kind: {float(x): y for x, y in curve.items()}
            for kind, curve in content["curves"].items()
        }
        if content["examples"]:
            packed = (folder / content["examples"]).read_bytes()
            # NumPy leaves a damaged file open, if it is given a path.
            with np.load(io.BytesIO(packed)) as arrays:
                content["examples"] = dict(arrays)
        return cls(**content)

    def _content(self):
        """Returns all but the seconds, in the form that JSON gives back."""
        content = {
            "format": FORMAT,
            "num_images": self.num_images,
            "clean_accuracy": self.clean_accuracy,
            "accuracy_after": self.accuracy_after,
            "robust_accuracy": self.robust_accuracy,
            "interval": self.interval,
            "per_class": self.per_class,
            "epsilon": self.epsilon,
            "norm": self.norm,
            "attacks": self.attacks,
            "settings": self.settings,
            "seed": self.seed,
            "versions": self.versions,
            "warnings": [dataclasses.asdict(w) for w in self.warnings],
            "curves": {
                kind: {str(float(x)): y for x, y in curve.items()}
                for kind, curve in self.curves.items()
            },
            "examples": None,
            "labels": self.labels,
            "outcomes": self.outcomes,
        }
        if self.examples is not None:
            checksum = zlib.crc32(self._packed())
            content["examples"] = f"examples_{checksum:08x}.npz"
        return json.loads(json.dumps(content, default=_plain))

    def _packed(self):
        """Returns the content of the `.npz` file with the examples, bytes.

        Equal examples give equal bytes, so that their checksum identifies them.
        """
        file = io.BytesIO()
        np.savez(file, **self.examples)
        return file.getvalue()


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


def _plain(value):
    """Returns what JSON holds for an array, or for a function in a setting."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return getattr(value, "__qualname__", None) or str(value)
