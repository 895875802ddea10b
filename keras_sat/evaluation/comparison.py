"""Two evaluations of the same images, compared image by image."""

import dataclasses

import numpy as np

from keras_sat import checks
from keras_sat.evaluation import markup
from keras_sat.evaluation import report_files
from keras_sat.evaluation import report_text
from keras_sat.evaluation.paired_accuracies import PairedAccuracies
from keras_sat.evaluation.report import MISCLASSIFIED
from keras_sat.evaluation.report import RobustnessReport

# Less probable than this, a difference is not taken for chance.
SIGNIFICANCE = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The differences of two models, from reports of the same images.

    Args:
        names: pair of str. What the two are called.
        balls: pair of str. The norm and the radius of each evaluation.
        clean: `PairedAccuracies` without attacks.
        robust: `PairedAccuracies` in the worst case of all attacks.
        differences: tuple of str. In what the evaluations differ, besides the
            models. What is compared is then no longer the models alone.
    """

    names: tuple
    balls: tuple
    clean: PairedAccuracies
    robust: PairedAccuracies
    differences: tuple = ()

    @property
    def num_images(self):
        """Number of images."""
        return self.robust.num_images

    @property
    def verdict(self):
        """A sentence that says which model is more robust, if that is known."""
        if not self.robust.difference:
            return "The robust accuracies are equal."
        chance = f"p = {self.robust.p_value:.2g}"
        if self.robust.p_value >= SIGNIFICANCE:
            return f"The difference in robust accuracy may be chance: {chance}."
        better = self.names[self.robust.difference > 0]
        return f"{better} has the higher robust accuracy: {chance}."

    def rows(self):
        """Returns the table of the comparison, a list of tuples of str."""
        first, second = self.names
        pairs = (self.clean, self.robust)

        def line(title, text):
            return (title, *map(text, pairs))

        def percent(share):
            return f"{100 * share:.2f} %"

        def change(pair):
            return f"{100 * pair.difference:+.2f}"

        def interval(pair):
            low, high = pair.interval
            return f"{100 * low:+.2f} to {100 * high:+.2f}"

        return [
            ("", "clean", "robust"),
            line(first, lambda pair: percent(pair.accuracies[0])),
            line(second, lambda pair: percent(pair.accuracies[1])),
            line(f"{second} minus {first}", change),
            line("95% interval", interval),
            line(f"only {first} is right", lambda pair: str(pair.first)),
            line(f"only {second} is right", lambda pair: str(pair.second)),
            line("p (McNemar, exact)", lambda pair: f"{pair.p_value:.2g}"),
        ]

    @property
    def title(self):
        """A line that says what was compared."""
        first, second = self.names
        ball = " and ".join(dict.fromkeys(self.balls))
        return (
            f"{first} and {second} on the same {self.num_images} images, {ball}"
        )

    def __str__(self):
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self.title, ""]
        for name, *cells in rows:
            words = [f"  {name:<{widths[0]}}"]
            for cell, width in zip(cells, widths[1:], strict=True):
                words.append(f"{cell:>{width}}")
            lines.append("  ".join(words).rstrip())
        lines += ["", f"  {self.verdict}"]
        if self.differences:
            lines += ["", "  The evaluations differ in more than the models:"]
            lines += [f"  ! {difference}" for difference in self.differences]
        return "\n".join(lines)

    def _repr_html_(self):
        """Returns what notebooks show."""
        head, *rows = self.rows()
        title = markup.element("strong", self.title, raw=False)
        lines = [
            "<div>",
            markup.element("p", title),
            "<table>",
            markup.row("th", head),
            *(markup.row("td", cells) for cells in rows),
            "</table>",
            markup.element("p", self.verdict, raw=False),
        ]
        if self.differences:
            items = (
                markup.element("li", difference, raw=False)
                for difference in self.differences
            )
            text = "The evaluations differ in more than the models:"
            lines += [markup.element("p", text), "<ul>", *items, "</ul>"]
        return "\n".join([*lines, "</div>"])

    def to_dict(self):
        """Returns all of it as a dict of what JSON can hold."""
        return {
            "names": list(self.names),
            "balls": list(self.balls),
            "num_images": self.num_images,
            "clean": self.clean.to_dict(),
            "robust": self.robust.to_dict(),
            "verdict": self.verdict,
            "differences": list(self.differences),
        }


def compare(first, second, names=("first", "second")):
    """Compares two models on the same images, image by image.

    Images that both models classify right, or both wrong, tell nothing about
    their difference; so a paired comparison finds smaller differences than two
    intervals side by side. The images are recognised by a hash of their pixels
    in 8 bits, and by their labels, both in order. Reports of 0.1.0 have no such
    hash: of them, only the labels are compared, and the result says so.

    Evaluations with another radius, norm, seed or version, or other attacks,
    are compared all the same. The result names each of these differences.

    Args:
        first: `RobustnessReport`.
        second: `RobustnessReport` of the same images, in the same order.
        names: pair of str. What the models are called. Defaults to `("first",
            "second")`.

    Returns:
        `Comparison`: the accuracies without attacks and in the worst case,
        their differences with 95% intervals (Newcombe, method 10), and how
        probable these are by chance (McNemar's exact test). It can be printed,
        shown in a notebook, and turned into a dict by `to_dict`.

    Raises:
        TypeError: If one is no report, or if the names are no str.
        ValueError: If they are reports of different images, or if there are not
            two different names.

    Example:

    ```python
    a = keras_sat.RobustnessReport.load("relu")
    b = keras_sat.RobustnessReport.load("silu")
    print(keras_sat.compare(a, b, names=("relu", "silu")))
    ```

    Reference:
    - [McNemar, 1947](https://doi.org/10.1007/BF02295996)
    - [Newcombe, 1998](https://pubmed.ncbi.nlm.nih.gov/9839354/)
    """
    for name, report in (("first", first), ("second", second)):
        if not isinstance(report, RobustnessReport):
            checks.refuse(
                name, "be a RobustnessReport", report, error=TypeError
            )
    _check_same_images(first, second)
    _check_names(names)
    reports = (first, second)
    return Comparison(
        names=tuple(names),
        balls=tuple(report_text.ball(report) for report in reports),
        clean=PairedAccuracies.of(
            *(r.outcomes != MISCLASSIFIED for r in reports)
        ),
        robust=PairedAccuracies.of(
            *(r.outcomes == len(r.attacks) for r in reports)
        ),
        differences=tuple(_differences(first, second)),
    )


def _check_names(names):
    """Refuses anything but two different names."""
    is_pair = isinstance(names, tuple | list) and len(names) == 2
    if not is_pair or not all(isinstance(name, str) for name in names):
        checks.refuse("names", "be a pair of str", names, error=TypeError)
    if names[0] == names[1]:
        checks.refuse("names", "differ from each other", names)


def _check_same_images(first, second):
    """Refuses reports of different images."""
    problem = None
    hashes = {first.fingerprint, second.fingerprint} - {None}
    if first.num_images != second.num_images:
        problem = f"{first.num_images} and {second.num_images} images"
    elif not np.array_equal(first.labels, second.labels):
        count = int(np.sum(first.labels != second.labels))
        problem = f"other labels of {count} of {first.num_images} images"
    elif len(hashes) > 1:
        problem = "images with other pixels"
    if problem:
        checks.refuse(
            "second",
            "be a report of the images of `first`",
            checks.Described(problem),
            "Evaluate both models on the same images in the same order, "
            "cropped and resized in the same way.",
        )


def _differences(first, second):
    """Yields in what two evaluations differ, besides the models."""
    if None in (first.fingerprint, second.fingerprint):
        yield "images: their pixels are not known, only their labels are equal"
    one, other = map(report_files.content, (first, second))
    for name in ("norm", "epsilon", "attacks", "seed"):
        if one[name] != other[name]:
            yield _difference(name, one[name], other[name])
    for name in sorted(one["settings"].keys() & other["settings"].keys()):
        yield from _changes(
            name, one["settings"][name], other["settings"][name]
        )
    yield from _changes("version of", one["versions"], other["versions"])


def _changes(title, one, other):
    """Yields in what two dicts differ."""
    for key in sorted(one.keys() | other.keys()):
        # Attacks have the radius and the norm of the evaluation.
        if one.get(key) != other.get(key) and key not in ("epsilon", "norm"):
            yield _difference(f"{title} {key}", one.get(key), other.get(key))


def _difference(name, one, other):
    """Returns words for a setting that differs."""
    one, other = (
        ", ".join(map(str, value)) if isinstance(value, list) else value
        for value in (one, other)
    )
    return f"{name}: {one} and {other}"
