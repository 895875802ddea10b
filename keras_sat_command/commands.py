"""The names of the commands, and where their functions are."""

import dataclasses
import importlib


@dataclasses.dataclass(frozen=True)
class Command:
    """A command: a function whose docstring is its help.

    Args:
        words: str. What is written after `keras-sat`, like `"report show"`.
        module: str. The module of the function, in this package.
        name: str. The name of the function.
        goes_on: bool. Whether it goes on where Ctrl-C has stopped it, when it
            is started again. Defaults to `False`.
    """

    words: str
    module: str
    name: str
    goes_on: bool = False

    @property
    def function(self):
        """The function, from what the flags say to the text to print."""
        module = importlib.import_module(f"keras_sat_command.{self.module}")
        return getattr(module, self.name)

    @property
    def summary(self):
        """The first line of its help."""
        return self.function.__doc__.splitlines()[0]


COMMANDS = (
    Command("train", "training", "train", goes_on=True),
    Command("finetune", "finetuning", "finetune", goes_on=True),
    Command("evaluate", "measuring", "evaluate", goes_on=True),
    Command("attack", "measuring", "attack"),
    Command("convert", "networks", "convert"),
    Command("import official", "importing", "official"),
    Command("import robustbench", "importing", "robustbench"),
    Command("import torch", "importing", "torch"),
    Command("export", "networks", "export"),
    Command("presets", "presets", "presets"),
    Command("report show", "reports", "show"),
    Command("report compare", "reports", "compare"),
    Command("report html", "reports", "html"),
    Command("doctor", "doctor", "doctor"),
)


def find(words):
    """Returns the command that words begin with, and the words behind it.

    Args:
        words: list of str.

    Returns:
        `Command`, or `None` if there is no such command, and list of str.
    """
    for command in COMMANDS:
        names = command.words.split()
        if words[: len(names)] == names:
            return command, words[len(names) :]
    return None, words


def listing(first=None):
    """Returns a line about each command, as text.

    Args:
        first: str. Their first word. Defaults to any.
    """
    chosen = [
        command
        for command in COMMANDS
        if first is None or command.words.split()[0] == first
    ]
    width = max(len(command.words) for command in chosen)
    return "\n".join(
        f"  {command.words:<{width}}  {command.summary}" for command in chosen
    )
