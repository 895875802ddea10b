"""A study as a table in Markdown, from the rows of its CSV."""

import csv
import math

from study import statistics

ACCURACIES = {
    "clean_accuracy": "clean",
    "robust_accuracy": "robust",
    "autoattack_accuracy": "AutoAttack",
}
# What the arms are compared by, with a correction for the number of arms.
COMPARED = ("clean_accuracy", "robust_accuracy")
NOTHING = "–"


def read(path):
    """Returns the rows of a CSV, as dicts of str."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values(rows, arm, column):
    """Returns the numbers of an arm by seed, without those that are missing.

    Args:
        rows: list of dicts from columns to numbers or str.
        arm: str.
        column: str.

    Returns:
        Dict from seeds to floats.
    """
    return {
        int(row["seed"]): float(row[column])
        for row in rows
        if row["arm"] == arm and row[column] not in ("", None)
    }


def comparison(rows, arms, reference, column):
    """Compares all arms with the reference, in one column.

    Args:
        rows: list of dicts.
        arms: sequence of str.
        reference: str.
        column: str.

    Returns:
        Dict from each other arm to the `statistics.Estimate` of its difference,
        with Holm's correction of p; `None` without common seeds.
    """
    base = values(rows, reference, column)
    found = {
        arm: statistics.difference(values(rows, arm, column), base)
        for arm in arms
        if arm != reference
    }
    known = [arm for arm, estimate in found.items() if estimate]
    corrected = statistics.holm([found[arm].p for arm in known])
    for arm, p in zip(known, corrected, strict=True):
        estimate = found[arm]
        found[arm] = statistics.Estimate(
            estimate.mean, estimate.margin, estimate.count, p
        )
    return found


def markdown(rows, study):
    """Returns the table of a study.

    Args:
        rows: list of dicts, as they are in the CSV.
        study: `Study`.

    Returns:
        str: a line for each arm that has rows. Accuracies are in %, with the
        margins of 95 % intervals.
    """
    present = {row["arm"] for row in rows}
    arms = [arm for arm in study.arms if arm in present]
    differences = {
        column: comparison(rows, arms, study.reference, column)
        for column in COMPARED
    }
    is_reported = any(study.arms[arm].reported for arm in arms)
    titles = ["arm", "seeds", *ACCURACIES.values()]
    for column in COMPARED:
        titles += [f"{ACCURACIES[column]} − {study.reference}", "p (Holm)"]
    titles += study.shown.values()
    if is_reported:
        titles += study.reported
    lines = [titles, ["---"] * len(titles)]
    for arm in arms:
        cells = [f"`{arm}`", str(len(values(rows, arm, "clean_accuracy")))]
        cells += [_mean(values(rows, arm, c), 100) for c in ACCURACIES]
        for column in COMPARED:
            cells += _difference(differences[column].get(arm))
        cells += [
            _mean(values(rows, arm, c), 100 if title.endswith("%") else 1)
            for c, title in study.shown.items()
        ]
        if is_reported:
            cells += study.arms[arm].reported or (NOTHING, NOTHING)
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _mean(found, factor=1):
    """Returns a cell with a mean and its margin."""
    if not found:
        return NOTHING
    estimate = statistics.interval(list(found.values()))
    return _number(estimate, factor)


def _number(estimate, factor, sign=""):
    """Returns words for an estimate."""
    is_count = factor == 1 and estimate.mean.is_integer()
    if is_count and not estimate.margin > 0:
        return f"{estimate.mean:.0f}"
    text = f"{factor * estimate.mean:{sign}.2f}"
    if math.isnan(estimate.margin):
        return text
    return f"{text} ± {factor * estimate.margin:.2f}"


def _difference(estimate):
    """Returns the two cells of a difference."""
    if estimate is None:
        return [NOTHING, NOTHING]
    p = NOTHING if math.isnan(estimate.p) else f"{estimate.p:.2g}"
    return [_number(estimate, 100, "+"), p]
