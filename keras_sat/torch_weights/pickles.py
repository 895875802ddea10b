"""An interpreter of pickles that builds data and never runs a program.

Python's own unpickler calls whatever a file names. This one knows the few
instructions that a file of weights consists of. A name in the file stays a
word, which is looked up in a table of constructors when the file applies it:
no module is imported, and no object of Python that could be called is ever
handed to the file.
"""

import pickletools


class Name(str):
    """A name in a pickle, such as `"torch.FloatStorage"`; it does nothing."""


class _Mark:
    """The place on the stack where a list of operands begins."""


MARK = _Mark()
# The types of keys. Python computes the hash of a tuple without a limit to its
# depth: one that is nested very deeply would end the process.
KEYS = (str, bytes, int, float, bool, type(None))


def load(file, constructors, persistent):
    """Reads the next pickle of a file.

    Args:
        file: binary file, such as `io.BytesIO`. The rest stays unread.
        constructors: dict from the names that a pickle may use to functions
            of the arguments that it gives them, or to `None` for names that it
            may mention and not apply.
        persistent: function from the identifier of something that lies
            outside the pickle to an object that stands for it.

    Returns:
        dict, list, tuple, number, str, or what the functions return.

    Raises:
        ValueError: If the pickle is broken, or uses anything else.
    """
    machine = _Machine(constructors, persistent)
    for instruction, argument, _ in pickletools.genops(file):
        action = ACTIONS.get(instruction.name)
        if action is None:
            raise ValueError(
                f"It holds the instruction {instruction.name}, which no file "
                "of weights needs."
            )
        action(machine, argument)
    return machine.stack.pop()


def dictionary(pairs=()):
    """Returns a dict of pairs of keys and values.

    Args:
        pairs: iterable of pairs.

    Raises:
        ValueError: If a key is anything but a word or a number.
    """
    found = {}
    for key, value in pairs:
        if type(key) not in KEYS:
            raise ValueError(f"A key is a {type(key).__name__}.")
        found[key] = value
    return found


class _Machine:
    """The stack and the memory of a pickle that is being read.

    Args:
        constructors: see `load`.
        persistent: see `load`.
    """

    def __init__(self, constructors, persistent):
        self.constructors = constructors
        self.persistent = persistent
        self.stack = []
        self.memory = {}

    def push(self, value):
        """Puts a value on the stack."""
        self.stack.append(value)

    def pop_many(self):
        """Removes and returns the values above the last mark."""
        values = []
        while (value := self.stack.pop()) is not MARK:
            values.append(value)
        return values[::-1]

    def pop_pairs(self):
        """Removes and returns pairs of keys and values above the last mark."""
        values = self.pop_many()
        return zip(values[::2], values[1::2], strict=True)

    def top(self, kind):
        """Returns the last value, which must be exactly of this type."""
        value = self.stack[-1]
        if type(value) is not kind:
            raise ValueError(f"It fills a {type(value).__name__}.")
        return value

    def name(self, module, name):
        """Puts a name on the stack, or refuses it."""
        full = f"{module}.{name}"
        if full not in self.constructors:
            raise ValueError(
                f"It names {full!r}, which is not part of weights and might "
                "run a program."
            )
        self.push(Name(full))

    def stack_global(self, _):
        """Puts a name on the stack whose two parts lie there."""
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def reduce(self, _):
        """Applies a constructor to a tuple of arguments."""
        arguments, name = self.stack.pop(), self.stack.pop()
        constructor = None
        if type(name) is Name and type(arguments) is tuple:
            constructor = self.constructors[name]
        if constructor is None:
            raise ValueError(f"It applies {name!r}.")
        self.push(constructor(*arguments))

    def build(self, _):
        """Leaves out what is kept beside the items of a dictionary.

        State dicts have the versions of their modules there.
        """
        self.stack.pop()
        self.top(dict)

    def append(self, _):
        """Appends a value to a list."""
        value = self.stack.pop()
        self.top(list).append(value)

    def extend(self, _):
        """Appends the values above the last mark to a list."""
        values = self.pop_many()
        self.top(list).extend(values)

    def set_item(self, _):
        """Puts a key and a value into a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self.top(dict).update(dictionary([(key, value)]))

    def set_items(self, _):
        """Puts the pairs above the last mark into a dictionary."""
        pairs = self.pop_pairs()
        self.top(dict).update(dictionary(pairs))

    def last(self, count):
        """Replaces the last values by a tuple of them."""
        values = [self.stack.pop() for _ in range(count)][::-1]
        self.push(tuple(values))

    def remember(self, index):
        """Keeps the last value under an index."""
        self.memory[index] = self.stack[-1]


VALUES = (
    "BINBYTES BINBYTES8 BINFLOAT BININT BININT1 BININT2 BINSTRING BINUNICODE "
    "BINUNICODE8 FLOAT INT LONG LONG1 LONG4 SHORT_BINBYTES SHORT_BINSTRING "
    "SHORT_BINUNICODE STRING UNICODE"
)
# From the names of instructions to functions of the machine and the operand
# that stands in the file.
ACTIONS = {
    **dict.fromkeys(VALUES.split(), _Machine.push),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda m, i: m.push(m.memory[i])
    ),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memory)),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "MARK": lambda machine, _: machine.push(MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_many(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "LIST": lambda machine, _: machine.push(machine.pop_many()),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.pop_many())),
    "DICT": lambda machine, _: machine.push(dictionary(machine.pop_pairs())),
    "TUPLE1": lambda machine, _: machine.last(1),
    "TUPLE2": lambda machine, _: machine.last(2),
    "TUPLE3": lambda machine, _: machine.last(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": lambda machine, text: machine.name(*text.split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": lambda machine, _: machine.push(
        machine.persistent(machine.stack.pop())
    ),
}
