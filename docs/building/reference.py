"""Writes the pages of the reference, one for each module."""

import inspect
import pathlib

from building import docstrings
from building import public_names

FOLDER = pathlib.Path(__file__).parents[1] / "reference"


def pages():
    """Returns the pages, from file names to their text."""
    entries = public_names.entries()
    modules = public_names.modules()
    return {
        f"{name}.rst": _page(name, module, entries)
        for name, module in modules.items()
    }


def write():
    """Writes the pages that are not there, or not as they should be."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.rst"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = FOLDER / name
        # A page that is touched is read again by Sphinx.
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def _page(module_name, module, entries):
    """Returns the page of a module."""
    text = docstrings.to_rst(inspect.getdoc(module))
    own = {f"{module_name}.{name}" for name in public_names.names_of(module)}
    listed = [e for e in entries if own & {e.name, *e.others}]
    rows = [
        (_reference(entry), _summary(entry))
        for entry in sorted(listed, key=lambda entry: entry.name.lower())
    ]
    blocks = [_block(e) for e in entries if e.module == module_name]
    return "\n".join([_title(module_name), text, "", _table(rows), *blocks])


def _title(words):
    return f"{words}\n{'=' * len(words)}\n"


def _table(rows):
    """Returns a table of two columns."""
    lines = [".. list-table::", "   :widths: 35 65", ""]
    for name, words in rows:
        lines += [f"   * - {name}", f"     - {words}"]
    return "\n".join(lines) + "\n"


def _reference(entry):
    kind = "data" if entry.is_constant else "obj"
    short = entry.name.removeprefix("keras_sat.")
    return f":py:{kind}:`{short} <{entry.name}>`"


def _summary(entry):
    """Returns the line that says what an object is for."""
    if entry.is_constant:
        return docstrings.line_to_rst(entry.comment.split(". ")[0])
    return _first_line(entry.value)


def _first_line(value):
    return docstrings.line_to_rst(inspect.getdoc(value).split("\n")[0])


def _block(entry):
    """Returns what documents an object."""
    also = [f"Also ``{name}``.\n" for name in entry.others]
    if entry.is_constant:
        text = docstrings.line_to_rst(entry.comment)
        return (
            f".. py:data:: {entry.name}\n   :value: {_shown(entry.value)}\n\n"
            f"   {text}\n"
        )
    if not inspect.isclass(entry.value):
        return f".. autofunction:: {entry.name}\n\n" + _indented(also)
    members = ", ".join(public_names.methods(entry.value))
    options = f"   :members: {members}\n" if members else ""
    return f".. autoclass:: {entry.name}\n{options}\n" + _indented(also)


def _indented(lines):
    return "".join(f"   {line}" for line in lines)


def _shown(value):
    """Returns a constant as a text; of a dictionary, its keys."""
    return repr(list(value) if isinstance(value, dict) else value)
