"""Reads pages, for tests of what they say."""

import html.parser

# Elements of HTML that have no end.
VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """Reads a page: its elements, and the texts of cells and of items.

    Args:
        source: str of HTML.

    Raises:
        ValueError: If an element ends before one that is inside of it.
    """

    def __init__(self, source):
        super().__init__()
        self.names, self.attributes, self.open, self.texts = [], [], [], {}
        self.elements = []
        self.feed(source)
        self.close()

    def handle_starttag(self, name, attributes):
        self.names.append(name)
        self.attributes += attributes
        self.elements.append((name, dict(attributes)))
        if name in VOID:
            return
        self.open.append(name)
        self.texts.setdefault(name, []).append("")

    def handle_endtag(self, name):
        # Each element ends before the one around it.
        if self.open.pop() != name:
            raise ValueError(name)

    def handle_data(self, text):
        for name in self.open:
            self.texts[name][-1] += text

    def all(self, name):
        """Returns the attributes of all elements of a name, as dicts."""
        return [found for kind, found in self.elements if kind == name]
