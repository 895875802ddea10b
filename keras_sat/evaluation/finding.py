"""A reason to doubt a robust accuracy."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """A reason to doubt a robust accuracy, with an explanation and advice.

    Args:
        name: str. A short name, for programs.
        found: str. What was observed, with numbers.
        meaning: str. Why this puts the robust accuracy in doubt.
        remedy: str. What to do.
    """

    name: str
    found: str
    meaning: str
    remedy: str

    def __str__(self):
        return f"{self.name}: {self.found} {self.meaning} {self.remedy}"
