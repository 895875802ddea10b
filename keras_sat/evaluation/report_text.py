"""Reports of robustness as text and as pictures."""

from keras_sat import plots

PICTURES = ("accuracy_by_epsilon.png", "accuracy_by_steps.png", "examples.png")
# The name in the settings of what the images show of their pictures.
VIEW = "view"


def text(report):
    """Returns a table of the accuracies, and the warnings, as text.

    Args:
        report: `RobustnessReport`.

    Returns:
        str of several lines.
    """
    low, high = report.interval
    rows = [("clean", report.clean_accuracy, "")]
    before = report.clean_accuracy
    for attack, accuracy in report.accuracy_after.items():
        change = f"  {100 * (accuracy - before):+7.2f}"
        rows.append((f"after {attack}", accuracy, change))
        before = accuracy
    interval = f"  95% interval {100 * low:.2f} % to {100 * high:.2f} %"
    rows.append(("worst case", report.robust_accuracy, interval))
    width = max(len(name) for name, *_ in rows)
    lines = [
        f"Robustness of {report.num_images} images in the {report.norm} ball "
        f"of epsilon {_fraction(report.epsilon)}",
        "",
    ]
    for name, accuracy, note in rows:
        lines.append(f"  {name:<{width}}  {100 * accuracy:6.2f} %{note}")
    lines += _view(report)
    versions = (f"{k} {v}" for k, v in report.versions.items())
    details = f"seed {report.seed}", f"{report.seconds:.0f} s", *versions
    return "\n".join([*lines, "", *_warnings(report), "", ", ".join(details)])


def markdown(report, pictures):
    """Returns the text, a table of the classes and links to pictures.

    Args:
        report: `RobustnessReport`.
        pictures: iterable of str. Names of the files to link to.

    Returns:
        str of several lines, in Markdown.
    """
    lines = ["# Robustness", "", "```", text(report), "```", ""]
    lines += ["| class | images | clean accuracy | robust accuracy |"]
    lines += ["|---|---|---|---|"]
    for label, row in report.per_class.items():
        lines.append(
            f"| {label} | {row['images']} "
            f"| {100 * row['clean_accuracy']:.2f} % "
            f"| {100 * row['robust_accuracy']:.2f} % |"
        )
    for name in pictures:
        lines += ["", f"![{name}]({name})"]
    return "\n".join([*lines, ""])


def pictures(report):
    """Returns functions that draw the pictures of a report.

    Args:
        report: `RobustnessReport`.

    Returns:
        Dict from some of `PICTURES`, names of files, to functions without
        arguments that draw a `matplotlib.figure.Figure`.
    """
    by_epsilon, by_steps, grid = PICTURES
    found = {}
    if "epsilon" in report.curves:
        found[by_epsilon] = lambda: plots.robustness_curves(
            {"PGD, on a part of the images": report.curves["epsilon"]}
        )
    if "steps" in report.curves:
        found[by_steps] = lambda: plots.robustness_curves(
            {"PGD, on a part of the images": report.curves["steps"]},
            x_label="steps",
        )
    if report.examples is not None:
        found[grid] = lambda: plots.perturbation_grid(**report.examples)
    return found


def _view(report):
    """Returns a line that says how pictures were cropped and resized, if any.

    Args:
        report: `RobustnessReport`.
    """
    view = report.settings.get(VIEW)
    if view is None:
        return []
    options = ", ".join(f"{name}={value!r}" for name, value in view.items())
    return ["", f"  Pictures: {options}"]


def _warnings(report):
    """Returns a line for each warning, or one that says why there is none."""
    if report.warnings:
        return [f"  ! {warning}" for warning in report.warnings]
    # Without curves there were no experiments that could have found any.
    return ["  No warnings." if report.curves else "  Not diagnosed."]


def _fraction(epsilon):
    """Returns `epsilon` as text, with its grey levels if they are whole."""
    levels = 255 * epsilon
    if epsilon and abs(levels - round(levels)) < 1e-6:
        return f"{epsilon:.5f} ({round(levels)}/255)"
    return f"{epsilon:.5g}"
