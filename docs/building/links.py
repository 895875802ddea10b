"""Names of the package in text become links to the reference."""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from building import public_names

# What leads somewhere already, or is better read without a link.
LEFT_ALONE = (
    addnodes.pending_xref | nodes.reference | nodes.rubric | nodes.title
)
# Pages whose tables have names of other libraries in the first column.
FOREIGN = {"docs/coming_from"}


class NameLinks(SphinxTransform):
    """Makes a link of each public name that is set as code."""

    default_priority = 400

    def apply(self):
        """Replaces the literals of a document that are public names."""
        known = self.app.known_targets
        for literal in list(self.document.findall(nodes.literal)):
            words = literal.astext()
            target = known.get(re.sub(r"\(.*\)$", "", words, flags=re.S))
            if target is None or self.is_left_alone(literal):
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=target,
                refdoc=self.env.docname,
                refexplicit=True,
                refwarn=True,
            )
            literal.replace_self(link)
            link += literal

    def is_left_alone(self, literal):
        """Whether a name leads somewhere already, or is that of a stranger."""
        if isinstance(literal.parent, LEFT_ALONE):
            return True
        cell = literal.parent
        while cell is not None and not isinstance(cell, nodes.entry):
            cell = cell.parent
        is_first = cell is not None and cell.parent.index(cell) == 0
        return is_first and self.env.docname in FOREIGN


def setup(app):
    """Adds the transform, and reads the public names once."""
    app.known_targets = public_names.targets()
    app.add_transform(NameLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
