"""The public names of the package: where each stands and is documented."""

import ast
import dataclasses
import inspect
import pathlib
import re
import types

import keras_sat

ROOT = "keras_sat"
# Words that are public names, and arguments or plain English as well.
AMBIGUOUS = {"strategy"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A public object, and the names that users have for it.

    Args:
        name: str. The shortest dotted name, such as `"keras_sat.PGD"`.
        module: str. The module whose page documents it, such as
            `"keras_sat.attacks"`.
        others: tuple of str. The other dotted names.
        value: the object.
    """

    name: str
    module: str
    others: tuple
    value: object

    @property
    def is_constant(self):
        """Whether it is neither a function nor a class."""
        return not callable(self.value)

    @property
    def comment(self):
        """What the lines above a constant say of it."""
        return comment(self.module, self.name.rpartition(".")[2])


def modules():
    """Returns the public modules, from dotted names to modules.

    They are those that `import keras_sat` promises: what its `__init__` imports
    by `from keras_sat import ...`. The root is the last.
    """
    tree = ast.parse(pathlib.Path(keras_sat.__file__).read_text("utf-8"))
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == ROOT
        for alias in node.names
    ]
    found = {f"{ROOT}.{name}": getattr(keras_sat, name) for name in names}
    return found | {ROOT: keras_sat}


def names_of(module):
    """Returns the names that a module offers, sorted.

    Those in `__all__`; for a module without it, what it defines itself. A
    constant counts if a comment says what it is.
    """
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and _is_offered(module, name, value)
    )


def _is_offered(module, name, value):
    """Whether a name is more than something that a module uses."""
    if not callable(value):
        return name.isupper() and bool(comment(module.__name__, name))
    where = getattr(value, "__module__", None) or ""
    # The root offers what other files define.
    inside = where.split(".")[0] == ROOT
    return inside and module.__name__ in (ROOT, where)


def comment(module, constant):
    """Returns the comment above the line that defines a constant, or `None`."""
    package = pathlib.Path(keras_sat.__file__).parent
    part = package / module.partition(".")[2]
    for path in (part.with_suffix(".py"), *part.glob("*.py")):
        text = path.read_text("utf-8") if path.exists() else ""
        found = re.search(rf"((?:^# .*\n)+){constant} = ", text, re.M)
        if found:
            return " ".join(re.findall(r"^# (.*)$", found[1], re.M))
    return None


def entries():
    """Returns the `Entry` of each public object, in the order of the pages."""
    found = {}
    for dotted, module in modules().items():
        for name in names_of(module):
            value = getattr(module, name)
            # Two constants may be equal, and the same object in memory.
            key = id(value) if callable(value) else (dotted, name)
            found.setdefault(key, (value, []))[1].append(f"{dotted}.{name}")
    return [_entry(value, names) for value, names in found.values()]


def _entry(value, names):
    """Returns the entry of an object with some dotted names."""
    # The page of a part comes before that of the root.
    module = names[0].rpartition(".")[0]
    shortest = min(names, key=lambda name: (name.count("."), names.index(name)))
    others = tuple(name for name in names if name != shortest)
    return Entry(shortest, module, others, value)


def targets():
    """Returns where names lead to, from what texts call them.

    `PGD`, `attacks.PGD`, `keras_sat.PGD` and `keras_sat.attacks.PGD` lead to
    the same place. A function that only a module has, like `data.load`, needs
    the name of the module.
    """
    found = {}
    for entry in entries():
        for name in (entry.name, *entry.others):
            short = name.removeprefix("keras_sat.")
            found |= {name: entry, short: entry}
            last = short.rpartition(".")[2]
            if last[0].isupper() and not last.isupper():
                found.setdefault(last, entry)
    for word in AMBIGUOUS:
        found.pop(word)
    return {text: entry.name for text, entry in found.items()}


# Methods that Keras calls, or that all frozen dataclasses of the package have.
PROTOCOL = re.compile(
    "(get_|from_|compile_from_)config|build|call|(on_|around_|remove_).*"
)
# Of a Keras model, what users call; the steps in between are its own affair.
SHOWN = {
    "SATModel": (
        "compile fit evaluate predict train_on_batch test_on_batch "
        "predict_on_batch save export get_weights set_weights replicas "
        "noise_seed"
    )
}


def methods(cls):
    """Returns the names of the methods and properties to document of a class.

    Those of this package that say more than "See ...", and are not inherited
    from another public class.
    """
    if cls.__name__ in SHOWN:
        return SHOWN[cls.__name__].split()
    documented = {entry.value for entry in entries() if not entry.is_constant}
    inherited = {
        base
        for public in documented.intersection(cls.__mro__) - {cls}
        for base in public.__mro__
    }
    found = {}
    for base in cls.__mro__:
        inside = base.__module__.split(".")[0] == ROOT
        if inside and base not in inherited:
            found |= {name: vars(base)[name] for name in vars(base)}
    return [name for name in found if _is_for_users(name, found[name])]


def _is_for_users(name, value):
    """Whether a method or property says something of its own to users."""
    kinds = property | classmethod | staticmethod | types.FunctionType
    text = inspect.getdoc(value) or "See nothing."
    return (
        isinstance(value, kinds)
        and not name.startswith("_")
        and not PROTOCOL.fullmatch(name)
        and not text.startswith("See ")
    )
