"""How the command begins and ends."""

import contextlib
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from unittest import mock

import pytest
from absl.testing import parameterized

import keras_sat
from keras_sat_command import classifiers
from keras_sat_command import commands
from keras_sat_command import main
from keras_sat_command import networks
from tests import processes
from tests.command.programs import run
from tests.test_case import TestCase

ROOT = pathlib.Path(main.__file__).parents[1]


def start(*words, **environment):
    """Starts a process of the command, without a log level of this one."""
    before = {k: v for k, v in os.environ.items() if k[:3] != "TF_"}
    return processes.start_python(
        ("-m", "keras_sat_command", *words), before | environment
    )


class HelpTest(TestCase):
    def test_it_does_not_wait_for_tensorflow(self):
        program = (
            "import sys\n"
            "from keras_sat_command import main\n"
            "try:\n"
            "    main.main(sys.argv[1:])\n"
            "except SystemExit as end:\n"
            "    print(end.code, 'tensorflow' in sys.modules)\n"
        )
        for words in (["--help"], ["train", "--help"], ["train", "--epochs"]):
            result = subprocess.run(
                [sys.executable, "-c", program, *words],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            code = 2 if words[-1] == "--epochs" else 0
            self.assertEndsWith(result.stdout, f"{code} False\n")

    def test_it_lists_every_command(self):
        code, output, errors = run("--help")
        self.assertEqual((code, errors), (0, ""))
        for command in commands.COMMANDS:
            self.assertIn(f"  {command.words} ", output)
            self.assertIn(command.summary, output)
        # Without a command, it is an error.
        self.assertEqual(run(), (2, output, ""))

    @parameterized.parameters(*commands.COMMANDS)
    def test_every_flag_is_explained(self, command):
        code, output, errors = run(*command.words.split(), "--help")
        self.assertEqual((code, errors), (0, ""))
        self.assertStartsWith(output, f"usage: keras-sat {command.words} [-h]")
        self.assertNotRegex(output, "[│╭╰\x1b]")
        self.assertNotIn("None", output)
        self.assertLess(max(map(len, output.splitlines())), 81)
        text = command.function.__doc__
        code = command.function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        documented = re.findall(r"^ {8}(\w+): ", text, re.MULTILINE)
        self.assertEqual(documented, list(names))
        for name in names:
            flag = name.replace("_", "-")
            self.assertRegex(output, rf"--{flag}\b|\b{name.upper()}\b")

    def test_the_version_is_shown(self):
        expected = f"keras_sat {keras_sat.__version__}\n"
        self.assertEqual(run("--version"), (0, expected, ""))

    def test_the_commands_of_a_group_are_listed(self):
        code, output, _ = run("import", "--help")
        self.assertEqual(code, 0)
        self.assertIn("import torch", output)
        self.assertNotIn("export", output)


class ErrorsTest(TestCase):
    @parameterized.parameters("learn", "import pickle", "report")
    def test_another_command_is_refused(self, words):
        code, output, errors = run(*words.split())
        self.assertEqual((code, output), (2, ""))
        self.assertStartsWith(errors, f"keras-sat: no command '{words}'")
        self.assertLen(errors.splitlines(), 1)

    def fail(self, error, *before):
        with mock.patch.object(classifiers, "path_of", side_effect=error):
            return run(*before, "export", "model", "folder")

    @parameterized.parameters(
        (ValueError("`x` must be 1. Received: x=2."), 1, "`x` must be 1. "),
        (OSError(28, "No space left"), 1, "OSError: .* No space left"),
        (ImportError("no", name="a"), 1, "ImportError: no"),
        (RuntimeError("one\ntwo"), 70, "RuntimeError: one .*--debug"),
        (ValueError("`top_k` must be 1."), 2, "--top-k must be 1"),
    )
    def test_an_error_is_one_line_and_a_code(self, error, expected, words):
        code, output, errors = self.fail(error)
        self.assertEqual((code, output), (expected, ""))
        self.assertRegex(errors, f"^keras-sat: {words}")
        self.assertLen(errors.splitlines(), 1)

    def test_arguments_in_an_advice_are_flags(self):
        advice = ValueError(
            "`a` must be 1. Pass b=True, top_k=3, class_names='x' or "
            "overwrite=True."
        )
        _, _, errors = self.fail(advice)
        self.assertEqual(
            errors,
            "keras-sat: `a` must be 1. Pass b=True, --top-k 3, --class-names x "
            "or --overwrite.\n",
        )

    def test_debug_shows_where_an_error_comes_from(self):
        code, _, errors = self.fail(RuntimeError("one"), "--debug")
        self.assertEqual(code, 70)
        self.assertStartsWith(errors, "Traceback")

    def test_ctrl_c_says_how_to_go_on_if_there_is_a_way(self):
        code, _, errors = self.fail(KeyboardInterrupt())
        self.assertEqual((code, errors), (130, "keras-sat: interrupted\n"))
        command = mock.Mock(words="export", goes_on=True)
        command.function = networks.export
        with mock.patch.object(commands, "COMMANDS", [command]):
            _, _, errors = self.fail(KeyboardInterrupt())
        self.assertEndsWith(errors, ": keras-sat export model folder\n")

    def test_a_closed_pipe_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        with (
            open(writer, "w") as pipe,
            contextlib.redirect_stdout(pipe),
            contextlib.redirect_stderr(io.StringIO()) as errors,
            self.assertRaises(SystemExit) as end,
        ):
            main.main(["--help"])
        self.assertEqual((end.exception.code, errors.getvalue()), (141, ""))

    @pytest.mark.large
    def test_an_error_in_a_process_is_nothing_but_a_line(self):
        process = start("report", "show", "nowhere", KERAS_BACKEND="jax")
        output, errors = process.communicate(timeout=120)
        self.assertEqual((process.returncode, output), (2, ""))
        self.assertEqual(
            errors,
            "keras-sat: REPORT must hold a report as `RobustnessReport.save` "
            "writes it. Received 'nowhere' (no file report.json).\n",
        )

    @pytest.mark.large
    def test_ctrl_c_ends_a_training_that_goes_on(self):
        folder = pathlib.Path(self.get_temp_dir()) / "run"
        words = ["train", "digits", str(folder), "--network=wide_resnet10_1"]
        words += ["--epochs=2", "--report-images=4", "--set", "steps=1"]
        process = start(*words)
        deadline = time.monotonic() + 300
        while not list(folder.glob("checkpoints/*.npz")):
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=300)
        self.assertEqual((process.returncode, output), (130, ""))
        self.assertNotIn("Traceback", errors)
        self.assertIn(
            "keras-sat: SIGINT: training is saved at epoch 2, step", errors
        )
        self.assertIn("the same command goes on from what is saved", errors)
        # No colors, and a line for each epoch.
        self.assertNotIn("\x1b", errors)
        process = start(*words)
        output, errors = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 0, errors)
        self.assertIn("Training goes on from epoch 2/2 after step", errors)
        self.assertStartsWith(output, "Robustness of 4 images")
        process = start(*words)
        again, errors = process.communicate(timeout=600)
        self.assertIn("Training is finished already: 2/2", errors)
        self.assertIn("It was finished already", errors)
        self.assertEqual(again.split("seed")[0], output.split("seed")[0])
