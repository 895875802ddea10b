"""Curves of accuracies as pictures in SVG, drawn without any other package."""

import math

from keras_sat.evaluation.markup import element

WIDTH, HEIGHT = 460, 260
# The room for labels: left, right, top, bottom.
LEFT, RIGHT, TOP, BOTTOM = 52, 26, 12, 44
# About the width of a digit.
DIGIT = 7.5
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def accuracy_curve(curve, label, logarithmic=False, marked=None):
    """Returns a picture of an accuracy over something else.

    Args:
        curve: dict from numbers, greater than 0 if `logarithmic`, to accuracies
            in `[0, 1]`.
        label: str. What the numbers are.
        logarithmic: bool. Whether equal ratios of these are equally far from
            each other. Defaults to `False`.
        marked: float. A number at which there is a line upright. Defaults to
            `None`: no line.

    Returns:
        str of SVG. Its description has all values.
    """
    points = sorted(curve.items())
    places = _places([x for x, _ in points], logarithmic)
    shown = [
        *_grid(),
        *_marks(places, label, marked),
        _line(marked, places),
        *_values(points, places),
    ]
    values = ", ".join(f"{x:g}: {100 * y:.2f} %" for x, y in points)
    about = element("title", f"Accuracy over {label}. {values}.", raw=False)
    return element(
        "svg",
        about + "\n".join(filter(None, shown)),
        class_="curve",
        role="img",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        aria_label=f"Accuracy over {label}. {values}.",
    )


def _places(numbers, logarithmic):
    """Returns a dict from each number to its place in the picture."""
    scale = math.log if logarithmic else float
    low, high = scale(numbers[0]), scale(numbers[-1])
    width = WIDTH - LEFT - RIGHT
    return {
        x: round(LEFT + width * (scale(x) - low) / ((high - low) or 1.0), 1)
        for x in numbers
    }


def _height(share):
    """Returns the place of an accuracy in the picture."""
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share, 1)


def _grid():
    """Yields a line for some accuracies, with its label."""
    for share in SHARES:
        y = _height(share)
        yield element(
            "line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y
        )
        yield element(
            "text", f"{100 * share:.0f} %", x=LEFT - 8, y=y + 4, class_="left"
        )


def _marks(places, label, marked):
    """Yields the labels of the numbers, and of all of them."""
    bottom, taken = HEIGHT - BOTTOM, []
    for x in sorted(places, key=lambda x: x != marked):
        text, place = f"{x:.3g}", places[x]
        half = DIGIT * (len(text) + 1) / 2
        # Labels that would touch another one are left out.
        if all(abs(place - other) >= half + width for other, width in taken):
            yield element("text", text, x=place, y=bottom + 18)
            taken.append((place, half))
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield element("text", label, raw=False, x=middle, y=HEIGHT - 6)


def _line(marked, places):
    """Returns the upright line at a number, if that is one of the curve."""
    if marked not in places:
        return ""
    x = places[marked]
    return element(
        "line", class_="mark", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM
    )


def _values(points, places):
    """Yields the curve, and its points with their values."""
    corners = " ".join(f"{places[x]},{_height(y)}" for x, y in points)
    yield element("polyline", class_="values", points=corners)
    for x, y in points:
        about = element("title", f"{x:g}: {100 * y:.2f} %", raw=False)
        yield element("circle", about, cx=places[x], cy=_height(y), r=4)
