"""Tests of how flags are read."""

import contextlib
import io
from typing import Literal

from absl.testing import parameterized

from keras_sat_command import flags
from keras_sat_command.problems import CommandError
from tests.test_case import TestCase


def command(
    model: str,
    *,
    epsilon: flags.Number = 8 / 255,
    radius: flags.Number = 0.5,
    size: flags.OptionalWhole = None,
    share: flags.OptionalNumber = None,
    limits: flags.OptionalPair = None,
    norm: Literal["linf", "l2"] = "linf",
    names: tuple[str, ...] = ("a",),
    top_k: int = 5,
    overwrite: bool = False,
):
    """Does something.

    Args:
        model: What it is done with, which takes more than a line of the source
            to be explained.
        epsilon: A radius.
        radius: Another one.
        size: A size.
        share: A share.
        limits: Two of them.
        norm: A norm.
        names: Names.
        top_k: A number.
        overwrite: Replace it.
    """
    return dict(locals())


class FlagsTest(TestCase):
    def given(self, *words):
        """What the command gets, where it is not the default."""
        defaults = flags.parsed(command, ["m"], "p")()
        found = flags.parsed(command, ["m", *words], "p")()
        return {k: v for k, v in found.items() if v != defaults[k]}

    @parameterized.parameters(
        (["--epsilon", "4/255"], {"epsilon": 4 / 255}),
        (["--epsilon=.25"], {"epsilon": 0.25}),
        (["--epsilon", "1e-3"], {"epsilon": 1e-3}),
        (["--share", "1/5", "--size", "32"], {"share": 0.2, "size": 32}),
        (["--limits", "0", "255"], {"limits": (0.0, 255.0)}),
        (["--limits", "-1", "1/2"], {"limits": (-1.0, 0.5)}),
        (
            ["--names", "b", "c", "--norm", "l2"],
            {"names": ("b", "c"), "norm": "l2"},
        ),
        (["--top-k=3", "--overwrite"], {"top_k": 3, "overwrite": True}),
        (["--top_k", "3"], {"top_k": 3}),
    )
    def test_values_are_read(self, words, expected):
        self.assertEqual(self.given(*words), expected)

    @parameterized.parameters(
        (["--epsilon", "8/a"], "--epsilon: expected a number like 0.03 or 8/2"),
        (["--epsilon", "8/0"], "--epsilon: expected a number like .* '8/0'"),
        (["--share", "much"], "--share: expected a number .* 'much'"),
        (["--size", "3.5"], "--size: expected a whole number, not '3.5'"),
        (["--size", "None"], "--size: expected a whole number, not 'None'"),
        (["--top-k", "x"], "--top-k: .*'x'"),
        (["--limits", "3"], ".*'--limits'. Expected 2 values"),
        (["--norm", "l1"], "invalid choice 'l1' for argument '--norm'"),
        (["--norm"], ".*'--norm'"),
        (["--epsilom", "1"], "Unrecognized options: --epsilom"),
        (["more"], "Unrecognized options: more"),
    )
    def test_wrong_values_are_a_line_that_names_the_flag(self, words, message):
        with self.assertRaises(CommandError) as caught:
            flags.parsed(command, ["m", *words], "p")
        self.assertEqual(caught.exception.code, 2)
        self.assertRegex(str(caught.exception), f"^{message}")
        self.assertEndsWith(str(caught.exception), " (see p --help)")
        self.assertNotIn("\n", str(caught.exception))

    def test_missing_words_are_named(self):
        with self.assertRaisesRegex(CommandError, "^MODEL missing "):
            flags.parsed(command, [], "p")

    def test_the_help_is_plain(self):
        output = self.enter_context(contextlib.redirect_stdout(io.StringIO()))
        self.assertIsNone(flags.parsed(command, ["--help"], "p"))
        lines = output.getvalue().splitlines()
        self.assertEqual(lines[0], "usage: p [-h] [OPTIONS] MODEL")
        text = " ".join(output.getvalue().split())
        for words in (
            "MODEL What it is done with, which takes more than a line of the "
            "source to be explained. options:",
            "--epsilon NUMBER A radius. (default: 8/255)",
            "--radius NUMBER Another one. (default: 0.5)",
            "--size INT A size. --share NUMBER A share. --limits LOW HIGH",
            "--overwrite Replace it.",
        ):
            self.assertIn(words, text)
