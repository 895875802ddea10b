"""The table of presets in `docs/presets.md`, as the cards have it.

`python -m tests.pretrained.table` writes it anew.
"""

import pathlib
import re

import keras_sat

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "presets.md"
BETWEEN = re.compile(r"(<!-- table -->\n).*(<!-- end -->\n)", re.DOTALL)


def page():
    """Returns the text of the page with the table of the cards."""
    table = keras_sat.presets()._repr_markdown_()
    return BETWEEN.sub(rf"\1\n{table}\n\n\2", PAGE.read_text("utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
