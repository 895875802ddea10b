"""What an evaluation of robustness found."""

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
from keras_sat.evaluation import report_text

MISCLASSIFIED = -1
# Of the normal distribution, for 95% intervals.
QUANTILE = 1.959964
# Of the files; to be raised when `load` can no longer read older ones.
FORMAT = "keras_sat robustness report 1"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason to doubt the number, with what it means and what to do.

    Args:
        name: str. Short, for programs.
        found: str. What was observed, with numbers.
        meaning: str. Why it puts the number in doubt.
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

    Two reports are equal if they say the same, however long it took.

    Args:
        labels: int array `(images,)`. The right classes.
        outcomes: int array `(images,)`. -1 where the clean image is
            misclassified, else the index in `attacks` of the first attack that
            succeeded, or `len(attacks)` where none did.
        attacks: tuple of str. Labels of the attacks, in order.
        epsilon: float. Radius, as a fraction of the range of the pixels.
        norm: str. `"linf"` or `"l2"`.
        seed: int. What the randomness of the attacks came from.
        settings: dict. The configuration of each attack.
        versions: dict of str. keras_sat, Keras and TensorFlow.
        warnings: tuple of `Finding`. Reasons to doubt the number.
        curves: dict. `"epsilon"` and `"steps"`: accuracies on a part of the
            images, by radius and by number of steps of PGD. Empty if no
            experiments were made.
        seconds: float. How long the attacks took.
        examples: dict of arrays, or `None`. A few images before and after, as
            arguments of `plots.perturbation_grid`.

    Raises:
        ValueError: If `labels` and `outcomes` do not go together.
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
        """Number of images."""
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
        """Images, clean and robust accuracy of each class that occurs."""
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

    def save(self, directory):
        """Writes `report.json`, `report.md`, examples and pictures.

        A file is replaced by a whole new one or stays as it is. A report that
        was saved there before is there until the new one is.

        Args:
            directory: str or path-like. Made if missing.

        Raises:
            ImportError: If matplotlib is missing and there is something to
                draw. All other files are written before.
            OSError: If there is no room for the files.
            ValueError: If the directory cannot be written.
        """
        folder = pathlib.Path(directory)
        files.folder_to_write("directory", folder)
        content = self._content() | {"seconds": self.seconds}
        name = content["examples"]
        if name:
            files.write(folder / name, lambda f: f.write(self._packed()))
        # It names the examples that it goes with, so that the two can be
        # replaced one after the other.
        text = json.dumps(content, indent=1, default=_plain)
        files.write_text(folder / "report.json", text)
        pictures = report_text.pictures(self)
        text = report_text.markdown(self, pictures)
        files.write_text(folder / "report.md", text)
        # What is left of an older report would pass for a part of this one.
        for path in folder.glob("examples_*.npz"):
            if path.name != name:
                path.unlink()
        for name in report_text.PICTURES:
            (folder / name).unlink(missing_ok=True)
        for name, draw in pictures.items():
            files.write(folder / name, draw().savefig)

    @classmethod
    def load(cls, directory):
        """Reads what `save` wrote.

        Args:
            directory: str or path-like.

        Returns:
            A report equal to the saved one.

        Raises:
            ValueError: If it holds no report, or a damaged one.
        """
        folder = pathlib.Path(directory)
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
        """The report that `content`, from the JSON file, describes."""
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
        """All that was found, as JSON holds it."""
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
        """The bytes of a file with the examples; the same for the same."""
        file = io.BytesIO()
        np.savez(file, **self.examples)
        return file.getvalue()


def wilson_interval(share, count, z=QUANTILE):
    """95% confidence interval of a share that was observed.

    Args:
        share: float in `[0, 1]`.
        count: int >= 1. Number of observations.
        z: float. Quantile of the normal distribution.

    Returns:
        Pair of floats in `[0, 1]`.

    Reference:
    - [Wilson, 1927](https://doi.org/10.1080/01621459.1927.10502953)
    """
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = z / (1 + z**2 / count)
    spread *= math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - spread), min(1.0, middle + spread)


def _check_ids(name, values, size, low, high):
    """Checks for `size` integers, one or more, from `low` to `high`."""
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
    """What stands in JSON for an array, or for a function in a setting."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return getattr(value, "__qualname__", None) or str(value)
