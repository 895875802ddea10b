"""Evaluations that take little time, which several tests make."""

import json
import os
import pathlib

from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import Square
from keras_sat.evaluation.robustness import evaluate_robustness
from tests import processes
from tests.attacks import problems
from tests.test_case import TestCase

# Breaks about half of the images of the linear problems.
EPSILON = 0.03
QUICK = (APGD(steps=5), FAB(steps=5), Square(queries=30))


def evaluate(model, dataset, attacks=QUICK, **options):
    """Calls `evaluate_robustness` without what takes long."""
    options = {"verbose": 0, "diagnose": False, "epsilon": EPSILON} | options
    return evaluate_robustness(model, dataset, attacks, **options)


def start(*arguments):
    """Starts a process that evaluates; see `tests/programs/evaluate.py`."""
    return processes.start("evaluate", *arguments)


def finish(process):
    """Returns what the process printed at its end."""
    output, _ = processes.finish(process, seconds=300)
    return json.loads(output.splitlines()[-1])


class ResumedTestCase(TestCase):
    """A test case with an evaluation that has a journal."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.get_temp_dir(), "state")
        self.problem = problems.Linear(3)

    def run_with_state(self, **options):
        """Returns the report of an evaluation that has a journal."""
        data = self.problem.images, self.problem.labels
        options = {"batch_size": 16, "state_path": self.path} | options
        return evaluate(
            options.pop("model", self.problem.model), data, **options
        )

    def lines(self):
        """Returns the lines of the journal."""
        return pathlib.Path(self.path).read_bytes().splitlines(keepends=True)
