"""Elements of HTML, and texts in Markdown: no text is taken for markup."""

import html
import re

# What Markdown, or the HTML inside of it, may take for markup.
MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$])")


def element(name, content="", raw=True, **attributes):
    """Returns an element of HTML or SVG, around markup or around text.

    Args:
        name: str. The name of the element.
        content: str. What is in it; `None` for an element without an end.
            Defaults to nothing.
        raw: bool. Whether that is markup already. Defaults to `True`.
        **attributes: str or number. An underscore stands for a hyphen, or for
            nothing at the end of `class_`.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        words.append(f'{key}="{html.escape(str(value))}"')
    start = f"<{' '.join(words)}>"
    if content is None:
        return start
    content = content if raw else html.escape(content, quote=False)
    return f"{start}{content}</{name}>"


def row(kind, cells):
    """Returns a row of a table of texts.

    Args:
        kind: str. `"td"` or `"th"`.
        cells: iterable of str.
    """
    return element("tr", "".join(element(kind, c, raw=False) for c in cells))


def table(head, rows, caption):
    """Returns a table of texts that can be moved sideways where it is too wide.

    Args:
        head: sequence of str. The titles of the columns.
        rows: iterable of sequences of str. The first one names its row.
        caption: str. What is in the table.
    """
    titles = "".join(element("th", t, raw=False, scope="col") for t in head)
    lines = []
    for name, *cells in rows:
        first = element("th", name, raw=False, scope="row")
        others = "".join(element("td", cell, raw=False) for cell in cells)
        lines.append(element("tr", first + others))
    inside = "\n".join(
        [
            title(caption),
            element("thead", element("tr", titles)),
            element("tbody", "\n".join(lines)),
        ]
    )
    return scrolled(element("table", inside), caption)


def title(text):
    """Returns the caption of a table, which stays in view when it is moved."""
    return element("caption", element("span", text, raw=False))


def scrolled(content, label):
    """Returns markup that can be moved sideways, also without a mouse.

    Args:
        content: str of markup.
        label: str. What is in it, for those who cannot see it.
    """
    return element(
        "div",
        content,
        class_="scroll",
        role="region",
        tabindex=0,
        aria_label=label,
    )


def in_markdown(text):
    """Returns a text in one line, without meaning to Markdown.

    Args:
        text: str.
    """
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))
