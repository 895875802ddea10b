"""What an evaluation of robustness found."""

import dataclasses
import json
import math
import os

import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat import plots

MISCLASSIFIED = -1
PERCENT = 100


@dataclasses.dataclass(frozen=True)
class Warning:
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
        warnings: tuple of `Warning`.
        curves: dict. `"epsilon"` and `"steps"`: accuracies on a part of the
            images, by size and by number of steps of PGD.
        seconds: float. How long the attacks took.
        examples: dict of arrays, or `None`. A few images before and after.
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
            table[int(label)] = {
                "images": len(outcomes),
                "clean_accuracy": float(np.mean(outcomes != MISCLASSIFIED)),
                "robust_accuracy": float(
                    np.mean(outcomes == len(self.attacks))
                ),
            }
        return table

    def __eq__(self, other):
        if not isinstance(other, RobustnessReport):
            return NotImplemented
        return self._content() == other._content()

    def __str__(self):
        low, high = self.interval
        rows = [("clean", self.clean_accuracy, None)]
        before = self.clean_accuracy
        for attack, accuracy in self.accuracy_after.items():
            rows.append((f"after {attack}", accuracy, accuracy - before))
            before = accuracy
        rows.append(("worst case", self.robust_accuracy, None))
        lines = [
            f"Robustness of {self.num_images} images, {self.norm} ball of "
            f"epsilon {_fraction(self.epsilon)}",
            "",
        ]
        for name, accuracy, change in rows:
            line = f"  {name:<18}{PERCENT * accuracy:6.2f} %"
            if change is not None:
                line += f"  ({PERCENT * change:+.2f})"
            lines.append(line)
        lines.append(
            f"  95% interval      {PERCENT * low:6.2f} % to "
            f"{PERCENT * high:.2f} %"
        )
        lines.append("")
        lines += [f"  ! {warning}" for warning in self.warnings]
        lines += [] if self.warnings else ["  No warnings."]
        return "\n".join(lines)

    def save(self, directory):
        """Writes `report.json`, `report.md` and pictures.

        Args:
            directory: str or path-like. Made if missing.

        Raises:
            ImportError: If matplotlib is missing; the files that need none are
                written before.
        """
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "report.json")
        content = self._content() | {"seconds": self.seconds}
        files.write_text(path, json.dumps(content, indent=1))
        files.write_text(os.path.join(directory, "report.md"), self._markdown())
        if self.examples is not None:
            path = os.path.join(directory, "examples.npz")
            files.write(path, lambda file: np.savez(file, **self.examples))
        self._plot(directory)

    @classmethod
    def load(cls, directory):
        """Reads what `save` wrote.

        Args:
            directory: str or path-like.

        Raises:
            ValueError: If it holds no report.
        """
        path = os.path.join(directory, "report.json")
        if not os.path.exists(path):
            checks.refuse(
                "directory", "hold a saved report", os.fspath(directory)
            )
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        for derived in (
            "clean_accuracy",
            "accuracy_after",
            "per_class",
            "robust_accuracy",
            "interval",
            "num_images",
        ):
            del content[derived]
        for name in ("labels", "outcomes"):
            content[name] = np.array(content[name], "int64")
        content["attacks"] = tuple(content["attacks"])
        content["warnings"] = tuple(
            Warning(**warning) for warning in content["warnings"]
        )
        content["curves"] = {
            kind: {float(x): y for x, y in curve.items()}
            for kind, curve in content["curves"].items()
        }
        path = os.path.join(directory, "examples.npz")
        if os.path.exists(path):
            content["examples"] = dict(np.load(path))
        return cls(**content)

    def _content(self):
        """All that is found, in a form that JSON has."""
        return {
            "num_images": self.num_images,
            "clean_accuracy": self.clean_accuracy,
            "accuracy_after": self.accuracy_after,
            "robust_accuracy": self.robust_accuracy,
            "interval": list(self.interval),
            "per_class": {str(k): v for k, v in self.per_class.items()},
            "epsilon": self.epsilon,
            "norm": self.norm,
            "attacks": list(self.attacks),
            "settings": self.settings,
            "seed": self.seed,
            "versions": self.versions,
            "warnings": [dataclasses.asdict(w) for w in self.warnings],
            "curves": {
                kind: {str(float(x)): y for x, y in curve.items()}
                for kind, curve in self.curves.items()
            },
            "labels": self.labels.tolist(),
            "outcomes": self.outcomes.tolist(),
        }

    def _markdown(self):
        lines = [
            "# Robustness",
            "",
            "```",
            str(self),
            "```",
            "",
            "| class | images | clean accuracy | robust accuracy |",
            "|---|---|---|---|",
        ]
        for label, row in self.per_class.items():
            lines.append(
                f"| {label} | {row['images']} "
                f"| {PERCENT * row['clean_accuracy']:.2f} % "
                f"| {PERCENT * row['robust_accuracy']:.2f} % |"
            )
        versions = ", ".join(f"{k} {v}" for k, v in self.versions.items())
        lines += [
            "",
            f"Seed {self.seed}, {self.seconds:.0f} s, {versions}.",
            "",
        ]
        return "\n".join(lines)

    def _plot(self, directory):
        for kind, curve in self.curves.items():
            path = os.path.join(directory, f"accuracy_by_{kind}.png")
            label = "epsilon" if kind == "epsilon" else "steps of PGD"
            plots.robustness_curves({"PGD": curve}, x_label=label, path=path)
        if self.examples is not None:
            plots.perturbation_grid(
                **self.examples,
                path=os.path.join(directory, "examples.png"),
            )


def wilson_interval(share, count, z=1.959964):
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


def _fraction(epsilon):
    """`epsilon`, also in grey levels where these are whole."""
    levels = 255 * epsilon
    if epsilon and abs(levels - round(levels)) < 1e-6:
        return f"{epsilon:.5f} ({round(levels)}/255)"
    return f"{epsilon:.5g}"
