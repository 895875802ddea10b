"""Reports of robustness as notebooks show them, in HTML or in Markdown.

Names of attacks and what was found may hold any characters: none of them is
taken for markup. Nothing is loaded from elsewhere.
"""

import html

from keras_sat.evaluation import markup
from keras_sat.evaluation import report_text

HEAD = ("", "accuracy", "change, or interval")


def as_html(report):
    """Returns the table and the warnings of a report, as a part of a page.

    Args:
        report: `RobustnessReport`.

    Returns:
        str of HTML, without scripts and without links.
    """
    title = markup.element("strong", report_text.title(report), raw=False)
    lines = [
        "<div>",
        markup.element("p", title),
        "<table>",
        markup.row("th", HEAD),
        *(markup.row("td", cells) for cells in report_text.rows(report)),
        "</table>",
    ]
    if report_text.seen(report):
        lines.append(markup.element("p", report_text.seen(report), raw=False))
    if report.warnings:
        findings = map(_finding_in_html, report.warnings)
        lines += ["<ul>", *findings, "</ul>"]
    else:
        remark = report_text.without_warnings(report)
        lines.append(markup.element("p", remark, raw=False))
    details = markup.element("small", report_text.details(report), raw=False)
    return "\n".join([*lines, markup.element("p", details), "</div>"])


def as_markdown(report):
    """Returns the table and the warnings of a report, in Markdown.

    Args:
        report: `RobustnessReport`.

    Returns:
        str.
    """
    rows = [HEAD, ("---", "---:", "---"), *report_text.rows(report)]
    lines = [f"**{markup.in_markdown(report_text.title(report))}**", ""]
    for number, cells in enumerate(rows):
        # The line below the head is markup.
        cells = cells if number == 1 else map(markup.in_markdown, cells)
        lines.append(f"| {' | '.join(cells)} |")
    if report_text.seen(report):
        lines += ["", markup.in_markdown(report_text.seen(report))]
    lines.append("")
    for finding in report.warnings:
        sentences = (finding.found, finding.meaning, finding.remedy)
        text = " ".join(map(markup.in_markdown, sentences))
        lines.append(f"- **{markup.in_markdown(finding.name)}**: {text}")
    if not report.warnings:
        lines.append(markup.in_markdown(report_text.without_warnings(report)))
    return "\n".join(
        [*lines, "", markup.in_markdown(report_text.details(report)), ""]
    )


def _finding_in_html(finding):
    """Returns an item of a list: what was found, its meaning, and advice."""
    name = markup.element("strong", finding.name, raw=False)
    advice = markup.element("em", finding.remedy, raw=False)
    found, meaning = html.escape(finding.found), html.escape(finding.meaning)
    return markup.element("li", f"{name}: {found} {meaning} {advice}")
