"""Tests of the studies, whose programs find `study` beside themselves."""

import pathlib
import sys

STUDIES = pathlib.Path(__file__).parents[3] / "examples" / "studies"

if str(STUDIES) not in sys.path:
    sys.path.insert(0, str(STUDIES))
