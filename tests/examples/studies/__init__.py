"""Tests of the studies; their programs find `study` beside themselves."""

import pathlib
import sys

STUDIES = pathlib.Path(__file__).parents[3] / "examples" / "studies"


def find():
    """Lets `study` and the programs be imported."""
    if str(STUDIES) not in sys.path:
        sys.path.insert(0, str(STUDIES))


find()
