"""Reports of robustness as text and as pictures."""

from keras_sat import plots
from keras_sat.evaluation import markup
from keras_sat.evaluation.confidence import wilson_interval

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
    table = rows(report)
    width = max(len(name) for name, *_ in table)
    lines = [title(report), ""]
    for name, accuracy, note in table:
        # What an attack took is aligned to the right.
        note = f"{note:>7}" if note[:1] in "+-" else note
        line = f"  {name:<{width}}  {accuracy:>8}  {note}"
        lines.append(line.rstrip())
    if seen(report):
        lines += ["", f"  {seen(report)}"]
    warnings = [f"  ! {warning}" for warning in report.warnings]
    lines += ["", *(warnings or [f"  {without_warnings(report)}"])]
    return "\n".join([*lines, "", details(report)])


def title(report):
    """Returns a line that says what was evaluated.

    Args:
        report: `RobustnessReport`.
    """
    return f"Robustness of {report.num_images} images in the {ball(report)}"


def ball(report):
    """Returns the norm and the radius of the attacks as text.

    Args:
        report: `RobustnessReport`.
    """
    return f"{report.norm} ball of epsilon {fraction(report.epsilon)}"


def rows(report):
    """Returns the table of the accuracies.

    Args:
        report: `RobustnessReport`.

    Returns:
        List of tuples of three str: what the images withstood, the accuracy,
        and what the attack took or the interval of the accuracy.
    """
    table = [("clean", f"{100 * report.clean_accuracy:.2f} %", "")]
    before = report.clean_accuracy
    for attack, accuracy in report.accuracy_after.items():
        change = f"{100 * (accuracy - before):+.2f}"
        table.append((f"after {attack}", f"{100 * accuracy:.2f} %", change))
        before = accuracy
    low, high = report.interval
    interval = f"95% interval {100 * low:.2f} % to {100 * high:.2f} %"
    worst = f"{100 * report.robust_accuracy:.2f} %"
    return [*table, ("worst case", worst, interval)]


def seen(report):
    """Returns how pictures were cropped and resized; empty if not known.

    Args:
        report: `RobustnessReport`.
    """
    view = report.settings.get(VIEW)
    if view is None:
        return ""
    options = (f"{name}={value!r}" for name, value in view.items())
    return f"Pictures: {', '.join(options)}"


def without_warnings(report):
    """Returns what stands in the place of warnings if there are none.

    Args:
        report: `RobustnessReport`.
    """
    # Without curves there were no experiments that could have found any.
    return "No warnings." if report.curves else "Not diagnosed."


def details(report):
    """Returns a line with the seed, the time and the versions.

    Args:
        report: `RobustnessReport`.
    """
    versions = (f"{k} {v}" for k, v in report.versions.items())
    details = f"seed {report.seed}", f"{report.seconds:.0f} s", *versions
    return ", ".join(details)


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
            f"| {markup.in_markdown(report.class_name(label))} "
            f"| {row['images']} "
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


def overview(report, path=None):
    """Draws the accuracies and the curves of a report.

    Args:
        report: `RobustnessReport`.
        path: str or path-like. Where to save the picture, if given.

    Returns:
        `matplotlib.figure.Figure`.
    """
    shares = {"clean": report.clean_accuracy, **report.accuracy_after}
    intervals = {
        name: wilson_interval(share, report.num_images)
        for name, share in shares.items()
    }
    return plots.evaluation(
        {name: (share, *intervals[name]) for name, share in shares.items()},
        report.curves,
        path,
    )


def fraction(epsilon):
    """Returns `epsilon` as text, with its grey levels if they are whole.

    Args:
        epsilon: float >= 0.
    """
    levels = 255 * epsilon
    if epsilon and abs(levels - round(levels)) < 1e-6:
        return f"{epsilon:.5f} ({round(levels)}/255)"
    return f"{epsilon:.5g}"
