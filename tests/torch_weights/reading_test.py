"""Tests of files of weights: honest, damaged and hostile ones."""

import hashlib
import os
import pathlib
import pickle
import struct
import zipfile

import numpy as np
import safetensors.numpy
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.torch_weights import reading
from keras_sat.torch_weights import tensors
from tests.test_case import TestCase
from tests.torch_weights import torch_files

NUMBERS = np.arange(12, dtype="float32").reshape(3, 4)


class ReadingTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.get_temp_dir())
        self.path = self.folder / "weights.pt"

    def write(self, content):
        """Writes bytes and returns the path."""
        self.path.write_bytes(content)
        return str(self.path)

    def assert_refused(self, path, reason=""):
        """Checks that the one error of the package comes, with a reason."""
        with self.assertRaisesRegex(
            ValueError,
            "`path` must be a complete file of weights.*Received: path=.*"
            f"{reason}",
        ):
            content = reading.read(path)
            with reading.refusing_broken_files(path):
                arrays(content)


def arrays(content, place=""):
    """The arrays in a structure, by their places."""
    if isinstance(content, tensors.Tensor):
        return {place: content.array()}
    if isinstance(content, np.ndarray):
        return {place: content}
    found = {}
    if isinstance(content, dict):
        for key, value in content.items():
            found |= arrays(value, f"{place}/{key}")
    if isinstance(content, list | tuple):
        found = arrays(dict(enumerate(content)), place)
    return found


class ReadingTest(ReadingTestCase):
    def test_the_old_format_of_a_gpu_is_read(self):
        content = torch_files.real_old()
        # The test composes the real file from its parts.
        found = hashlib.sha256(content).hexdigest()
        self.assertEqual(found, torch_files.OLD_HASH)
        self.assertIn(b"cuda:0", content[:1008])
        found = arrays(reading.read(self.write(content)))
        for name, expected in torch_files.real_tensors().items():
            self.assert_same_bits(found.pop(f"/{name}"), expected)
        self.assertEmpty(found)

    def test_the_zip_format_is_read_with_what_is_beside_the_weights(self):
        path = self.folder / "a.ckpt"
        torch_files.write_zip(path, torch_files.real_zip("wrapped"))
        content = reading.read(path)
        self.assertEqual(content["epoch"], 7)
        self.assertEqual(content["args"], {"lr": 0.1})
        for name, expected in torch_files.real_tensors().items():
            found = content["state_dict"][f"module.model.{name}"].array()
            self.assert_same_bits(found, expected)

    def test_half_precision_views_and_transposed_tensors_are_read(self):
        torch_files.write_zip(self.path, torch_files.real_zip("mixed"))
        found = arrays(reading.read(self.path))
        dtypes = {"/0.weight": "float16", "/5.weight": "bfloat16"}
        for name, expected in torch_files.real_tensors().items():
            array = found[f"/{name}"]
            dtype = dtypes.get(f"/{name}", "float32")
            self.assertEqual(array.dtype, dtype)
            self.assert_same_bits(
                array.astype("float32"),
                expected.astype(dtype).astype("float32"),
            )
        self.assertFalse(found["/7.weight"].flags["C_CONTIGUOUS"])

    @parameterized.product(
        save=(torch_files.save, torch_files.save_old),
        dtype=("float16", "bfloat16", "float64", "int64"),
        device=("cpu", "cuda:1"),
    )
    def test_all_that_both_formats_hold_is_read(self, save, dtype, device):
        numbers = NUMBERS.astype(np.dtype(dtype))
        content = {
            "whole": numbers,
            "list": [torch_files.View(numbers, 5, (2, 3), (3, 1))],
            "transposed": torch_files.View(numbers, 0, (4, 3), (1, 4)),
            "number": np.array(7, "int64"),
            "empty": np.zeros((0, 3), "float32"),
            "epoch": 3,
        }
        found = reading.read(save(self.path, content, device))
        self.assertEqual(found["epoch"], 3)
        whole, view = found["whole"], found["list"][0]
        self.assertIs(whole.storage, view.storage)
        self.assert_same_bits(whole.array(), numbers)
        self.assertAllEqual(view.array(), numbers.ravel()[5:11].reshape(2, 3))
        self.assertAllEqual(found["transposed"].array(), numbers.T)
        self.assertAllEqual(found["number"].array(), 7)
        self.assertEqual(found["empty"].array().shape, (0, 3))

    def test_big_endian_numbers_are_read(self):
        pickled, storages = torch_files.pickled({"a": NUMBERS})
        swapped = {key: x.astype(">f4") for key, x in storages.items()}
        entries = torch_files.entries(pickled, swapped, "big")
        torch_files.write_zip(self.path, entries)
        self.assertAllEqual(reading.read(self.path)["a"].array(), NUMBERS)

    def test_safetensors_are_read(self):
        path = self.folder / "a.safetensors"
        bfloat16 = tf.bfloat16.as_numpy_dtype
        content = {
            "a": NUMBERS,
            "b": NUMBERS.astype("float16"),
            "c": NUMBERS.astype("int64"),
        }
        safetensors.numpy.save_file(content, path, {"format": "pt"})
        found = reading.read(path)
        self.assertEqual(set(found), {"a", "b", "c"})
        for name, expected in content.items():
            self.assert_same_bits(found[name], expected)
            self.assertEqual(found[name].dtype, expected.dtype)
        raw = NUMBERS.astype(bfloat16)
        entry = {"dtype": "BF16", "shape": [3, 4], "data_offsets": [0, 24]}
        path.write_bytes(torch_files.safe({"d": entry}, raw.tobytes()))
        self.assertEqual(reading.read(path)["d"].dtype, bfloat16)
        self.assert_same_bits(reading.read(path)["d"], raw)

    def test_safetensors_come_in_the_order_of_the_numbers(self):
        path = self.folder / "a.safetensors"
        names = ["0.bias", "0.weight", "2.weight", "10.weight", "a.1", "a.b"]
        content = {name: NUMBERS for name in names}
        safetensors.numpy.save_file(content, path)
        self.assertEqual(list(reading.read(path)), names)


class DamagedFileTest(ReadingTestCase):
    @parameterized.parameters(0, 1, 100, 1007, 1008, 1015, 5000, 666_695)
    def test_old_files_that_are_cut_off_are_refused(self, size):
        self.assert_refused(self.write(torch_files.real_old()[:size]))

    @parameterized.parameters(1, 1000, 200_000, -100, -1)
    def test_zip_files_that_are_cut_off_are_refused(self, size):
        torch_files.write_zip(self.path, torch_files.real_zip("wrapped"))
        self.assert_refused(self.write(self.path.read_bytes()[:size]))

    def test_flipped_bits_of_a_weight_are_noticed(self):
        torch_files.write_zip(self.path, torch_files.real_zip("wrapped"))
        content = bytearray(self.path.read_bytes())
        content[300_000] ^= 1
        self.assert_refused(self.write(content), "Bad CRC-32")

    def test_a_wrong_count_is_refused(self):
        content = bytearray(torch_files.real_old())
        for count in (156_799, 156_801, 2**62, -1):
            content[1008:1016] = struct.pack("<q", count)
            self.assert_refused(self.write(content), "is not complete")

    def test_a_missing_storage_is_refused(self):
        entries = torch_files.real_zip("wrapped")
        del entries["archive/data/4"]
        path = torch_files.write_zip(self.path, entries)
        self.assert_refused(path, "archive/data/4")

    def test_a_storage_of_another_size_is_refused(self):
        entries = torch_files.real_zip("wrapped")
        entries["archive/data/4"] = entries["archive/data/4"][:-4]
        path = torch_files.write_zip(self.path, entries)
        self.assert_refused(path, "storage '4' has not the 156800 numbers")

    @parameterized.parameters(
        b"", b"not a file of weights", b"\x89HDF\r\n\x1a\n" + bytes(100)
    )
    def test_other_files_are_refused(self, content):
        self.assert_refused(self.write(content))
        path = self.folder / "b.safetensors"
        path.write_bytes(content)
        self.assert_refused(str(path))

    def test_what_is_no_file_is_refused(self):
        self.assert_refused(str(self.folder))
        self.assert_refused(str(self.folder / "none.pt"), "No such file")
        with self.assertRaisesRegex(TypeError, "`path` must be a path"):
            reading.read(None)

    def test_a_zip_file_of_something_else_is_refused(self):
        for entries in (
            {"word/document.xml": b"<a/>"},
            {"a/data.pkl": b"N.", "b/data.pkl": b"N."},
        ):
            path = torch_files.write_zip(self.path, entries)
            self.assert_refused(path, "zip file of something else")

    def test_nothing_but_its_error_comes_of_any_bytes(self):
        generator = np.random.default_rng(0)
        torch_files.save(self.path, {"a": [NUMBERS], "b": {"c": NUMBERS[0]}})
        new = self.path.read_bytes()
        torch_files.save_old(self.path, {"a": [NUMBERS], "b": NUMBERS[0]})
        old = self.path.read_bytes()
        safe = safetensors.numpy.save({"a": NUMBERS, "b": NUMBERS[0]})
        for whole, end in ((new, "pt"), (old, "pt"), (safe, "safetensors")):
            path = self.folder / f"c.{end}"
            for _ in range(300):
                content = bytearray(whole)
                for place in generator.integers(len(whole), size=3):
                    content[place] = generator.integers(256)
                path.write_bytes(content)
                try:
                    read = reading.read(path)
                    with reading.refusing_broken_files(str(path)):
                        arrays(read)
                except ValueError as error:
                    self.assertRegex(str(error), "`path` must be a complete")


class HostileFileTest(ReadingTestCase):
    def program(self, protocol=2):
        """A pickle that creates a file when Python loads it, and the file."""
        made = self.folder / "made"

        class Runs:
            def __reduce__(self):
                return os.system, (f"touch {made}",)

        return pickle.dumps({"state_dict": {}, "x": Runs()}, protocol), made

    @parameterized.product(protocol=(0, 1, 2, 3, 4, 5), old=(False, True))
    def test_no_program_runs(self, protocol, old):
        program, made = self.program(protocol)
        if old:
            head = [torch_files.MAGIC, torch_files.PROTOCOL, {}]
            head = b"".join(pickle.dumps(part, 2) for part in head)
            path = self.write(head + program + pickle.dumps([], 2))
        else:
            entries = torch_files.entries(program)
            path = torch_files.write_zip(self.path, entries)
        self.assert_refused(path, "It names '(posix|nt).system'.*state_dict")
        self.assertFalse(made.exists())

    @parameterized.parameters(0, 1, 2, 3)
    def test_no_program_runs_in_any_part_of_an_old_file(self, part):
        program, made = self.program()
        parts = [torch_files.MAGIC, torch_files.PROTOCOL, {}, {}, []]
        parts = [pickle.dumps(x, 2) for x in parts]
        parts[part] = program
        self.assert_refused(self.write(b"".join(parts)), "It names")
        self.assertFalse(made.exists())

    def test_a_whole_module_is_refused_by_its_name(self):
        pickled = b"\x80\x02ctorchvision.models.resnet\nResNet\n)\x81."
        path = torch_files.write_zip(self.path, torch_files.entries(pickled))
        self.assert_refused(path, "torchvision.models.resnet.ResNet")

    def test_compressed_entries_are_refused(self):
        entries = torch_files.entries(b"N.", {"0": np.zeros(10**6, "float32")})
        path = torch_files.write_zip(self.path, entries, zipfile.ZIP_DEFLATED)
        self.assertLess(os.path.getsize(path), 10_000)
        self.assert_refused(path, "compressed, or made to grow")

    def test_entries_that_share_their_bytes_are_refused(self):
        entries = torch_files.entries(b"N.", {"0": bytes(10_000)})
        torch_files.write_zip(self.path, entries)
        with zipfile.ZipFile(self.path, "a") as archive:
            shared = archive.getinfo("archive/data/0")
            for i in range(1, 100):
                info = zipfile.ZipInfo(f"archive/data/{i}")
                info.file_size = info.compress_size = shared.file_size
                info.header_offset, info.CRC = shared.header_offset, shared.CRC
                archive.filelist.append(info)
            archive._didModify = True
        self.assert_refused(str(self.path), "compressed, or made to grow")

    def test_a_directory_entry_that_claims_too_much_is_refused(self):
        entries = torch_files.entries(b"N.", {"0": bytes(100)})
        torch_files.write_zip(self.path, entries)
        content = self.path.read_bytes()
        # The sizes of the last entry but one in the central directory.
        at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"PK\x01\x02"))
        content = bytearray(content)
        content[at + 20 : at + 28] = struct.pack("<II", 2**31, 2**31)
        self.assert_refused(self.write(content))

    def test_very_deep_identifiers_are_refused(self):
        deep = b")" + b"\x85" * 10**5
        for pickled in (
            deep + b"Q.",
            b"(X\x07\0\0\0storage" + deep + b"X\x01\0\0\x000NK\x04tQ.",
            b"ctorch\n" + b"A" * 10**6 + b"\n.",
        ):
            entries = torch_files.entries(b"\x80\x02" + pickled)
            path = torch_files.write_zip(self.path, entries)
            self.assert_refused(path)

    def test_a_storage_may_not_have_two_types(self):
        first = b"(X\x07\0\0\0storagectorch\n%sStorage\nX\x01\0\0\0"
        first += b"0X\x03\0\0\0cpuK\x04tQ"
        pickled = (
            b"\x80\x02]" + first % b"Float" + first % b"Double" + b"\x86a."
        )
        entries = torch_files.entries(pickled, {"0": bytes(16)})
        path = torch_files.write_zip(self.path, entries)
        self.assert_refused(path, "two storages '0'")

    def test_safetensors_that_leave_the_file_are_refused(self):
        path = self.folder / "a.safetensors"
        for shape, offsets in (
            ([4], [0, 2**40]),
            ([2**62, 4], [0, 16]),
            ([4], [8, 0]),
            ([-4], [0, 16]),
        ):
            entry = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
            path.write_bytes(torch_files.safe({"a": entry}, bytes(16)))
            self.assert_refused(str(path))
        path.write_bytes(struct.pack("<Q", 2**63) + b"{}")
        self.assert_refused(str(path))
