"""Reports of robustness as notebooks show them, in HTML or in Markdown.

Names of attacks and what was found may hold any characters: none of them is
taken for markup. Nothing is loaded from elsewhere.
"""

import html
import re

from keras_sat.evaluation import report_text

HEAD = ("", "accuracy", "change, or interval")
# What Markdown, or the HTML inside of it, may take for markup.
MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$])")


def as_html(report):
    """Returns the table and the warnings of a report, as a part of a page.

    Args:
        report: `RobustnessReport`.

    Returns:
        str of HTML, without scripts and without links.
    """
    lines = [
        "<div>",
        _element("p", _element("strong", report_text.title(report), raw=False)),
        "<table>",
        _row("th", HEAD),
        *(_row("td", cells) for cells in report_text.rows(report)),
        "</table>",
    ]
    if report_text.seen(report):
        lines.append(_element("p", report_text.seen(report), raw=False))
    if report.warnings:
        findings = map(_finding_in_html, report.warnings)
        lines += ["<ul>", *findings, "</ul>"]
    else:
        remark = report_text.without_warnings(report)
        lines.append(_element("p", remark, raw=False))
    details = _element("small", report_text.details(report), raw=False)
    return "\n".join([*lines, _element("p", details), "</div>"])


def as_markdown(report):
    """Returns the table and the warnings of a report, in Markdown.

    Args:
        report: `RobustnessReport`.

    Returns:
        str.
    """
    rows = [HEAD, ("---", "---:", "---"), *report_text.rows(report)]
    lines = [f"**{_escaped(report_text.title(report))}**", ""]
    for number, cells in enumerate(rows):
        # The line below the head is markup.
        cells = cells if number == 1 else map(_escaped, cells)
        lines.append(f"| {' | '.join(cells)} |")
    if report_text.seen(report):
        lines += ["", _escaped(report_text.seen(report))]
    lines.append("")
    for finding in report.warnings:
        sentences = (finding.found, finding.meaning, finding.remedy)
        text = " ".join(map(_escaped, sentences))
        lines.append(f"- **{_escaped(finding.name)}**: {text}")
    if not report.warnings:
        lines.append(_escaped(report_text.without_warnings(report)))
    return "\n".join([*lines, "", _escaped(report_text.details(report)), ""])


def _finding_in_html(finding):
    """Returns an item of a list: what was found, its meaning, and advice."""
    name = _element("strong", finding.name, raw=False)
    advice = _element("em", finding.remedy, raw=False)
    found, meaning = html.escape(finding.found), html.escape(finding.meaning)
    return _element("li", f"{name}: {found} {meaning} {advice}")


def _row(element, cells):
    """Returns a row of a table."""
    cells = (_element(element, cell, raw=False) for cell in cells)
    return _element("tr", "".join(cells))


def _element(name, content, raw=True):
    """Returns an element of HTML, around HTML or around text.

    Args:
        name: str. The name of the element.
        content: str. What is in it.
        raw: bool. Whether that is HTML already. Defaults to `True`.
    """
    content = content if raw else html.escape(content)
    return f"<{name}>{content}</{name}>"


def _escaped(text):
    """Returns a text in one line, without meaning to Markdown."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))
