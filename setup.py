"""Gives package indexes a README that they can show; the rest is in setup.cfg.

An index shows the README alone: links to other files of the repository, and
the pictures among them, need the address of the repository in front. It is read
from the environment variable KERAS_SAT_REPOSITORY, which `make package` sets
where the CI of a forge knows it. Without it, such links become plain text, and
the pictures their descriptions.
"""

import os
import re

import setuptools

# A link, with an exclamation mark in front if it is a picture.
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?!\w+:|#)([^)\s]+)\)")


def readme_for_index(text, repository, version):
    """Returns a README whose links do not need the files beside it.

    Args:
        text: str. Markdown.
        repository: str. The address of the repository on a forge, like
            `"https://forge.example/name/keras_sat"`; empty if it has none.
        version: str. The version, which is tagged as `v<version>` there.

    Returns:
        str. Markdown.
    """

    def whole(match):
        picture, words, path = match.groups()
        if not repository:
            return f"*{words}*" if picture else words
        kind = "raw" if picture else "blob"
        address = f"{repository.rstrip('/')}/{kind}/v{version}/{path}"
        return f"{picture}[{words}]({address})"

    # Headings keep their anchors on an index, so links to them stay.
    return LINK.sub(whole, text)


class Distribution(setuptools.Distribution):
    """The package, described by setup.cfg and by where its repository is."""

    def parse_config_files(self, *args, **kwargs):
        """Reads setup.cfg, then makes links of the README whole."""
        super().parse_config_files(*args, **kwargs)
        metadata = self.metadata
        repository = os.environ.get("KERAS_SAT_REPOSITORY", "")
        metadata.long_description = readme_for_index(
            metadata.long_description, repository, metadata.version
        )
        if repository:
            metadata.project_urls["Source"] = repository
            metadata.project_urls["Changelog"] = (
                f"{repository.rstrip('/')}/blob/v{metadata.version}/CHANGELOG.md"
            )


if __name__ == "__main__":
    setuptools.setup(distclass=Distribution)
