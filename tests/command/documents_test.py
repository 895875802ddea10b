"""Runs the shell session of the README, and reads all others."""

import os
import re
import shlex

import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat_command import commands
from keras_sat_command import flags
from tests.command.programs import run
from tests.documents_test import NAMES
from tests.documents_test import read
from tests.readme_test import COMMENT
from tests.test_case import TestCase

SESSION = re.compile(
    f"((?:{COMMENT.pattern})*)```sh\\n((?:keras-sat [^\\n]*\\n)+)```"
)


def lines(text):
    """Yields the lines of shell that call the command, as words."""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("keras-sat "):
                yield shlex.split(line, comments=True)[1:]


class DocumentsTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_commands_have_the_flags_that_they_are_given(self, name):
        for words in lines(read(name)):
            command, rest = commands.find(words)
            self.assertIsNotNone(command, words)
            self.assertIsNotNone(flags.parsed(command.function, rest, "p"))

    @pytest.mark.large
    def test_the_session_of_the_readme_runs(self):
        match = SESSION.search(read("README.md"))
        session = match[match.lastindex]
        for old, new in COMMENT.findall(match[1]):
            self.assertIn(old, session)
            session = session.replace(old, new)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.get_temp_dir())
        printed = {}
        for words in lines(f"```sh\n{session}```"):
            code, printed[words[0]], errors = run(*words)
            self.assertEqual(code, 0, errors)
        report = keras_sat.RobustnessReport.load("report")
        self.assertEqual(report.num_images, 100)
        self.assertEqual(printed["report"], f"{report}\n")
        self.assertStartsWith(printed["attack"], "10 pictures in pictures\n")
        self.assertLen(
            [n for n in os.listdir("pictures") if n.endswith("-clean.png")], 10
        )
        served = keras_sat.load_classifier("served/1")
        self.assertEqual(served.view["crop"], "centre")
