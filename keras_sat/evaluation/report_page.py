"""A report of robustness as a page for browsers, in one file.

Nothing is loaded from elsewhere, there are no scripts, and no text is taken for
markup.
"""

import html
import json
import pathlib
import string

import numpy as np

from keras_sat.evaluation import page_curves
from keras_sat.evaluation import page_pictures
from keras_sat.evaluation import report_files
from keras_sat.evaluation import report_text
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.markup import element
from keras_sat.evaluation.markup import scrolled
from keras_sat.evaluation.markup import table
from keras_sat.evaluation.markup import title

TEMPLATE = pathlib.Path(__file__).with_suffix(".html")
# With more classes than this, a table of all pairs of them cannot be read.
MOST_CLASSES = 20
OLDER = "Reports of keras_sat 0.1.0, or continued from its files, do not tell."


def page(report):
    """Returns the page of a report.

    Args:
        report: `RobustnessReport`.

    Returns:
        str of HTML: a whole file.
    """
    sections = [
        _summary(report),
        _accuracies(report),
        _warnings(report),
        _curves(report),
        _images(report),
        _classes(report),
        _confusion(report),
        _settings(report),
    ]
    template = string.Template(TEMPLATE.read_text("utf-8"))
    return template.substitute(
        title=html.escape(report_text.title(report)),
        content="\n".join(sections),
    )


def percent(share):
    """Returns a share as text."""
    return f"{100 * share:.2f} %"


def _between(share, count):
    """Returns the 95% interval of a share as text."""
    low, high = wilson_interval(share, count)
    return f"{percent(low)} to {percent(high)}"


def _section(heading, *parts):
    """Returns a section with a heading."""
    return element("section", "\n".join([element("h2", heading), *parts]))


def _note(text):
    """Returns a remark below a heading."""
    return element("p", text, raw=False, class_="note")


def _summary(report):
    """Returns the heading of the page, and the figures that count most."""
    count = report.num_images
    shares = {
        "Clean accuracy": report.clean_accuracy,
        "Robust accuracy": report.robust_accuracy,
    }
    cards = [
        (name, percent(share), f"95% interval {_between(share, count)}")
        for name, share in shares.items()
    ]
    doubts, how = str(len(report.warnings)), "see below"
    if not (report.warnings or report.curves):
        doubts, how = "not known", report_text.without_warnings(report)
    cards.append(("Reasons to doubt it", doubts, how))
    inside = [
        element(
            "div",
            element("dt", name, raw=False)
            + element("dd", figure, raw=False, class_="figure")
            + element("dd", note, raw=False, class_="note"),
        )
        for name, figure, note in cards
    ]
    lines = [element("h1", report_text.title(report), raw=False)]
    if report_text.seen(report):
        lines.append(_note(report_text.seen(report)))
    lines.append(element("dl", "\n".join(inside), class_="cards"))
    return element("header", "\n".join(lines))


def _accuracies(report):
    """Returns the accuracy after each attack, with its interval."""
    before = report.clean_accuracy
    shares = [("clean", before, "")]
    for attack, share in report.accuracy_after.items():
        change = f"{100 * (share - before):+.2f}"
        shares.append((f"after {attack}", share, change))
        before = share
    shares.append(("worst case", report.robust_accuracy, ""))
    rows = [
        (name, percent(share), change, _between(share, report.num_images))
        for name, share, change in shares
    ]
    head = ("", "accuracy", "change", "95% interval (Wilson)")
    caption = "Each attack gets the images that withstood those above it."
    return _section("Accuracies", table(head, rows, caption))


def _warnings(report):
    """Returns the findings, each with its meaning and with advice."""
    heading = "Reasons to doubt the robust accuracy"
    if not report.warnings:
        return _section(heading, _note(report_text.without_warnings(report)))
    parts = []
    for finding in report.warnings:
        observed = f"{finding.found} {finding.meaning}"
        advice = element("strong", "What to do:") + " "
        advice += html.escape(finding.remedy, quote=False)
        lines = [
            element("h3", finding.name, raw=False),
            element("p", observed, raw=False),
            element("p", advice),
        ]
        parts.append(element("div", "\n".join(lines), class_="warning"))
    return _section(heading, *parts)


def _curves(report):
    """Returns the curves of the experiments, as pictures and as numbers."""
    kinds = {
        "epsilon": (
            "epsilon (fraction of the value range)",
            {"marked": report.epsilon},
        ),
        "steps": ("steps", {"logarithmic": True}),
    }
    figures = []
    for kind, (label, options) in kinds.items():
        curve = report.curves.get(kind)
        if not curve:
            continue
        rows = [(f"{x:.5g}", percent(y)) for x, y in sorted(curve.items())]
        numbers = table((label, "accuracy"), rows, f"Accuracy over {kind}")
        numbers = element("details", element("summary", "Numbers") + numbers)
        drawn = page_curves.accuracy_curve(curve, label, **options)
        caption = element("figcaption", f"Accuracy under PGD, over {kind}")
        figures.append(element("figure", drawn + caption + numbers))
    if not figures:
        return _section("Curves", _note("No experiments were made."))
    note = (
        "PGD on the margin, on a part of the images. Robustness that is real "
        "falls to nothing with a growing radius, and levels off with more "
        "steps."
    )
    inside = element("div", "\n".join(figures), class_="curves")
    return _section("Curves", _note(note), inside)


def _images(report):
    """Returns the worst and the luckiest images."""
    if report.extremes is None:
        note = (
            "None: they are kept of pictures with 1 or 3 channels, by "
            f"evaluations that diagnose. {OLDER}"
        )
        return _section("Images", _note(note))
    return _section("Images", page_pictures.section(report))


def _classes(report):
    """Returns the accuracies of each class."""
    rows = []
    for label, row in report.per_class.items():
        robust, count = row["robust_accuracy"], row["images"]
        rows.append(
            (
                report.class_name(label),
                str(count),
                percent(row["clean_accuracy"]),
                percent(robust),
                _between(robust, count),
            )
        )
    head = ("class", "images", "clean", "robust", "95% interval of robust")
    every = table(head, rows, "Accuracies of each class")
    if len(rows) <= MOST_CLASSES:
        return _section("Classes", every)
    shares = [row["robust_accuracy"] for row in report.per_class.values()]
    least = [rows[i] for i in np.argsort(shares, kind="stable")[:MOST_CLASSES]]
    caption = f"The {MOST_CLASSES} least robust classes"
    all_of_them = element("summary", f"All {len(rows)} classes") + every
    return _section(
        "Classes", table(head, least, caption), element("details", all_of_them)
    )


def _confusion(report):
    """Returns which classes are taken for which under attack."""
    heading = "Confusion under attack"
    counts = report.confusion
    if counts is None:
        return _section(heading, _note(f"Not known. {OLDER}"))
    meaning = (
        "What is predicted for the first misclassified image that attacks "
        "found, and without an attack where they found none."
    )
    if len(counts) <= MOST_CLASSES:
        return _section(heading, _note(meaning), _all_pairs(report, counts))
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CLASSES]
    pairs = [np.unravel_index(place, wrong.shape) for place in order]
    totals = counts.sum(1)
    rows = [
        (
            report.class_name(label),
            report.class_name(predicted),
            str(wrong[label, predicted]),
            percent(wrong[label, predicted] / totals[label]),
        )
        for label, predicted in pairs
        if wrong[label, predicted]
    ]
    head = ("class", "taken for", "images", "of the class")
    caption = f"The {MOST_CLASSES} most frequent mistakes"
    return _section(heading, _note(meaning), table(head, rows, caption))


def _all_pairs(report, counts):
    """Returns the table of all classes and predictions, shaded by share."""
    names = [report.class_name(label) for label in range(len(counts))]
    titles = "".join(
        element("th", name, raw=False, scope="col") for name in ["", *names]
    )
    head, lines = element("thead", element("tr", titles)), []
    for label, row in enumerate(counts):
        cells = [element("th", names[label], raw=False, scope="row")]
        for predicted, count in enumerate(row):
            share = 0.8 * count / max(1, row.sum())
            options = {"class_": "same"} if predicted == label else {}
            options["style"] = f"--share: {share:.3f}"
            cells.append(element("td", str(count), **options))
        lines.append(element("tr", "".join(cells)))
    caption = "Right classes in rows, predicted ones in columns"
    inside = title(caption) + head + element("tbody", "\n".join(lines))
    return scrolled(element("table", inside, class_="confusion"), caption)


def _settings(report):
    """Returns the settings of the attacks, the versions and the rest."""
    parts = []
    for name, settings in report.settings.items():
        rows = [
            (key, json.dumps(value, default=report_files.plain))
            for key, value in settings.items()
        ]
        inside = table(("setting", "value"), rows, f"Settings of {name}")
        summary = element("summary", name, raw=False)
        parts.append(element("details", summary + inside, class_="text"))
    rows = [
        ("norm", report.norm),
        ("epsilon", report_text.fraction(report.epsilon)),
        ("seed", str(report.seed)),
        ("seconds", f"{report.seconds:.0f}"),
        ("fingerprint of the images", report.fingerprint or f"None. {OLDER}"),
        *((f"version of {k}", v) for k, v in report.versions.items()),
    ]
    others = table(("", "value"), rows, "Evaluation")
    parts.append(element("div", others, class_="text"))
    return _section("Settings", *parts)
