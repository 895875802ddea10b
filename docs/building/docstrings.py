"""From the Markdown of docstrings to the reStructuredText of Sphinx."""

import dataclasses
import inspect
import re

# Sections of the house that napoleon does not know, or takes for indented.
TITLES = {"Example:": "Example", "Reference:": "Reference"}
LONGEST_DEFAULT = 40


def to_rst(text):
    """Returns Markdown as reStructuredText.

    Args:
        text: str. A docstring, without the indentation of its code.

    Returns:
        str. Fenced blocks, headings of sections, code and links are rewritten;
        `Args`, `Returns` and `Raises` are left to napoleon.
    """
    parts = re.split(r"^( *)```(\w*)\n(.*?)^ *```$", text, flags=re.M | re.S)
    # Text, then groups of indentation, language, code and text.
    found = [_prose(parts[0])]
    for i in range(1, len(parts), 4):
        indent, language, code, prose = parts[i : i + 4]
        found.append(f"{indent}.. code-block:: {language or 'text'}\n\n")
        found += [f"    {line}\n" for line in code.splitlines()]
        found.append(_prose(prose))
    return "".join(found)


def line_to_rst(text):
    """Returns a line of Markdown as reStructuredText."""
    # Outside of code, a star and what it stands before are meant as they are.
    parts = re.split(r"(`[^`]+`)", text)
    parts[::2] = [re.sub(r"\*+(?=\w)", _escaped, part) for part in parts[::2]]
    text = re.sub(r"`([^`]+)`", _code, "".join(parts))
    return re.sub(r"\[([^\]]+)\]\((\S+?)\)", r"`\1 <\2>`__", text)


def _escaped(match):
    return match[0].replace("*", r"\*")


def _prose(text):
    """Returns Markdown without blocks of code as reStructuredText."""
    text = line_to_rst(text)
    # A list needs an empty line before it.
    text = re.sub(
        r"^(?P<indent> *)(?P<line>(?!- )\S.*\n)(?P<item>(?P=indent) *- )",
        r"\g<indent>\g<line>\n\g<item>",
        text,
        flags=re.M,
    )
    text = re.sub(r"(?:^ *\|.*\|\n)+", _table, text, flags=re.M)
    for title, words in TITLES.items():
        text = re.sub(
            rf"^( *){title}$", rf"\1.. rubric:: {words}\n", text, flags=re.M
        )
    return text


def _table(match):
    """Returns a table of Markdown as one of Sphinx."""
    lines = [line.strip() for line in match[0].splitlines()]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    # The second row is a line of dashes.
    cells = [rows[0], *rows[2:]]
    text = ".. list-table::\n   :header-rows: 1\n\n"
    for row in cells:
        for i, cell in enumerate(row):
            text += f"   {'* -' if i == 0 else '  -'} {cell.strip()}\n"
    return text


def _code(match):
    """Returns code in a line; what follows may be a letter, as in `Attack`s."""
    words = " ".join(match[1].split())
    follower = match.string[match.end() : match.end() + 1]
    return f"``{words}``" + (r"\ " if follower.isalnum() else "")


def signature(value):
    """Returns the arguments of a function or class, as users write them.

    Args:
        value: function or class.

    Returns:
        str such as `"(*, epsilon=4 / 255)"`, or `None` if there is none.
    """
    if inspect.isclass(value):
        if value.__init__ is object.__init__:
            return None
        found = inspect.signature(value.__init__)
        parameters = list(found.parameters.values())[1:]
    else:
        parameters = list(inspect.signature(value).parameters.values())
    empty = inspect.Parameter.empty
    shown = [
        parameter.replace(
            annotation=empty,
            default=parameter.default
            if parameter.default is empty
            else _Shown(parameter.default),
        )
        for parameter in parameters
    ]
    return str(inspect.Signature(shown))


class _Shown:
    """A default that is shown by a readable text."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        if isinstance(self.value, float):
            levels = self.value * 255
            if levels == round(levels) and 0 < levels < 255:
                return f"{round(levels)} / 255"
        text = repr(self.value)
        if self.value is dataclasses.MISSING or " object at " in text:
            return "..."
        return text if len(text) <= LONGEST_DEFAULT else "..."


def convert(app, what, name, value, options, lines):
    """Rewrites the docstring that Sphinx has read."""
    del app, what, name, value, options
    lines[:] = to_rst("\n".join(lines)).split("\n")


def convert_signature(app, what, name, value, options, shown, returns):
    """Replaces the signature of a function or class."""
    del app, name, options, returns
    if what in ("class", "function") and callable(value):
        return signature(value) or "", None
    return shown, None


def setup(app):
    """Has docstrings converted before napoleon reads them."""
    app.connect("autodoc-process-docstring", convert, priority=400)
    app.connect("autodoc-process-signature", convert_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
