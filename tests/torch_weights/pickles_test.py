"""Tests of the interpreter of pickles: it builds data, and nothing runs."""

import builtins
import collections
import io
import os
import pathlib
import pickle
import pickletools

import numpy as np
from absl.testing import parameterized

from keras_sat.torch_weights import pickles
from tests.test_case import TestCase

SHARED = ["again"]
DATA = (
    None,
    True,
    -1,
    2**31,
    -(2**70),
    1.5,
    float("inf"),
    "text \u00e4 \U0001f600\n",
    b"bytes \x00\xff",
    [],
    (),
    {},
    [1, [2, [3]]],
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    {"a": {"b": (1, [2.0])}, 3: "c", None: (4, 5)},
    [SHARED, SHARED, {"x": SHARED}],
    list(range(3000)),
    {str(i): i for i in range(3000)},
)


def load(pickled, constructors=None):
    """What the interpreter makes of bytes."""
    return pickles.load(io.BytesIO(pickled), constructors or {}, lambda x: x)


class Runs:
    """An object whose pickle calls a function when Python loads it."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class PicklesTest(TestCase):
    @parameterized.product(data=DATA, protocol=(0, 1, 2, 3, 4, 5))
    def test_data_is_read_as_python_reads_it(self, data, protocol):
        if isinstance(data, bytes) and protocol < 3:
            # It is written as a call of a codec, which is refused.
            with self.assertRaisesRegex(ValueError, "It names '_codecs"):
                load(pickle.dumps(data, protocol))
            return
        found = load(pickle.dumps(data, protocol))
        self.assertEqual(found, data)
        self.assertIs(type(found), type(data))

    def test_what_is_shared_stays_shared(self):
        first, second, third = load(pickle.dumps([SHARED, SHARED, {}]))
        self.assertIs(first, second)
        self.assertEqual(third, {})

    def test_versions_beside_the_items_are_left_out(self):
        data = collections.OrderedDict(a=1)
        data._metadata = {"": {"version": 1}}
        known = {"collections.OrderedDict": dict}
        for protocol in range(2, 6):
            found = load(pickle.dumps(data, protocol), known)
            self.assertEqual(found, {"a": 1})
            self.assertIs(type(found), dict)

    def test_two_pickles_are_read_one_after_the_other(self):
        file = io.BytesIO(pickle.dumps([1]) + pickle.dumps([2]) + b"rest")
        found = [pickles.load(file, {}, None) for _ in range(2)]
        self.assertEqual(found, [[1], [2]])
        self.assertEqual(file.read(), b"rest")

    @parameterized.product(
        function=(os.system, eval, exec, getattr, builtins.open, print),
        protocol=(0, 1, 2, 3, 4, 5),
    )
    def test_a_call_is_refused_before_it_runs(self, function, protocol):
        path = pathlib.Path(self.get_temp_dir()) / "made"
        code = f"open({str(path)!r}, 'w')"
        arguments = [f"touch {path}"] if function is os.system else [code]
        if function is builtins.open:
            arguments = [str(path), "w"]
        pickled = pickle.dumps([1, Runs(function, *arguments)], protocol)
        with self.assertRaisesRegex(ValueError, "It names '.*might run"):
            load(pickled, {"collections.OrderedDict": dict})
        self.assertFalse(path.exists())

    @parameterized.parameters(
        # Made by the instructions INST, OBJ, NEWOBJ, NEWOBJ_EX and EXT1.
        (b"(S'true'\nios\nsystem\n.", "INST"),
        (b"(cos\nsystem\nS'true'\no.", "It names 'os.system'"),
        (b"\x80\x02cos\nsystem\nU\x04true\x85\x81.", "It names 'os.system'"),
        (b"\x80\x04N)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x04\x8f.", "EMPTY_SET"),
        (b"\x80\x05\x97.", "NEXT_BUFFER"),
        (b"Pname\n.", "PERSID"),
        # Both parts of a name from the stack.
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "It names 'os.system'"),
        (b"\x80\x04]K\x01\x93.", r"It names '\[\].1'"),
        # A name with dots, which leads from a module to another.
        (b"\x80\x04\x8c\x0bcollections\x8c\x03sys\x93.", "'collections.sys'"),
        # What is no constructor is applied, or filled, or has attributes.
        (b"\x80\x02K\x01)R.", "It applies 1"),
        (b"\x80\x02U\x03cosK\x01R.", "It applies 'cos'"),
        (b"ccollections\nOrderedDict\n]R.", "It applies"),
        (b"ctorch\nFloatStorage\n)R.", "It applies"),
        (b"ccollections\nOrderedDict\n}b.", "It fills a Name"),
        (b"\x80\x02K\x01}b.", "It fills a int"),
        (b"\x80\x02)K\x01a.", "It fills a tuple"),
        (b"\x80\x02]K\x01K\x02s.", "It fills a list"),
        (b"\x80\x02}(K\x01u.", "longer|shorter"),
        # Keys whose hash Python computes without a limit to the depth.
        (b"\x80\x02}" + b")" + b"\x85" * 10**5 + b"K\x01s.", "key is a tuple"),
        (b"\x80\x02(" + b")" + b"\x85" * 10**5 + b"K\x01d.", "key is a tuple"),
        (
            b"ccollections\nOrderedDict\n]])"
            + b"\x85" * 10**5
            + b"aK\x01aa\x85R.",
            "key is a tuple",
        ),
    )
    def test_other_instructions_are_refused(self, pickled, message):
        known = {
            "collections.OrderedDict": pickles.dictionary,
            "torch.FloatStorage": None,
        }
        with self.assertRaisesRegex(ValueError, message):
            load(pickled, known)

    def test_names_stay_words(self):
        known = {"torch.FloatStorage": None}
        name = load(b"ctorch\nFloatStorage\n.", known)
        self.assertEqual(name, "torch.FloatStorage")
        self.assertFalse(callable(name))

    def test_every_end_that_is_cut_off_is_an_error(self):
        whole = pickle.dumps(DATA, 4)
        generator = np.random.default_rng(0)
        for end in [0, 1, 2, *generator.integers(len(whole), size=50)]:
            with self.assertRaises((ValueError, IndexError)):
                load(whole[:end])

    def test_absurd_lengths_are_errors_without_memory(self):
        for instruction in (b"\x8d", b"\x8e", b"X", b"B", b"T", b"\x8b"):
            for length in (b"\xff" * 8, b"\xff\xff\xff\x7f" + b"\0" * 4):
                with self.assertRaises(ValueError):
                    load(b"\x80\x04" + instruction + length + b"abc.")

    def test_knows_the_instructions_of_all_data(self):
        used = {
            instruction.name
            for protocol in range(6)
            for data in DATA
            if not (isinstance(data, bytes) and protocol < 3)
            for instruction, _, _ in pickletools.genops(
                pickle.dumps(data, protocol)
            )
        }
        self.assertLessEqual(used, set(pickles.ACTIONS))
