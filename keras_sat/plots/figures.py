"""Figures of matplotlib: made without a display, labelled, and saved."""

import functools
import io
import os

from keras_sat import checks
from keras_sat import extras
from keras_sat import files

# Colors that can be told apart with every common form of colour blindness
# (Okabe and Ito, 2008).
COLORS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000".split()
GRID = "#DDDDDD"


def empty(width, height):
    """Returns an empty figure of a size in inches."""
    with extras.needed("plots"):
        # Unlike pyplot, the class has no global state and needs no display.
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    # Notebooks show what has this method, also where nobody imported pyplot.
    figure._repr_png_ = functools.partial(_png, figure)
    return figure


def _png(figure):
    """Returns a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def saved(figure, path):
    """Returns a figure, after it was written to a file if there is a path."""
    if path is None:
        return figure
    path = checks.path("path", path)
    extension = os.path.splitext(path)[1]
    if not extension:
        extension = ".png"
        path += extension
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with files.replacing(path, extension) as temporary:
            figure.savefig(temporary)
    except OSError as error:
        checks.refuse(
            "path",
            "be a file that can be written",
            checks.Described(f"{path!r} ({error.strerror})"),
        )
    return figure


def label(axis, x, y):
    """Gives an axis of curves its labels, its grid and its legend."""
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(color=GRID, lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False)
