"""Tests of tensors as views of storages."""

import numpy as np
from absl.testing import parameterized

from keras_sat.torch_weights import pickles
from keras_sat.torch_weights import tensors
from tests.test_case import TestCase

NUMBERS = np.arange(24, dtype="float32")


BYTES = NUMBERS.tobytes()


def storage(numel=24, data=BYTES):
    """A storage of 24 numbers."""
    return tensors.Storage(
        key="0", dtype=np.dtype("float32"), numel=numel, data=data
    )


def tensor(offset, size, stride, *rest):
    """A tensor as a pickle describes it."""
    rebuild = tensors.CONSTRUCTORS["torch._utils._rebuild_tensor_v2"]
    return rebuild(storage(), offset, size, stride, *rest)


class TensorTest(TestCase):
    @parameterized.parameters(
        (0, (4, 6), (6, 1), NUMBERS.reshape(4, 6)),
        (0, (6, 4), (1, 6), NUMBERS.reshape(4, 6).T),
        (7, (2, 3), (6, 2), NUMBERS.reshape(4, 6)[1:3, 1::2]),
        (5, (), (), NUMBERS[5]),
        (23, (1, 1), (10**30, 10**30), NUMBERS[23:].reshape(1, 1)),
        (2, (3, 4), (0, 1), np.stack([NUMBERS[2:6]] * 3)),
        (99, (0, 3), (3, 1), np.zeros((0, 3))),
    )
    def test_is_a_view_of_its_storage(self, offset, size, stride, expected):
        array = tensor(offset, size, stride, False, {}).array()
        self.assertAllEqual(array, expected)
        self.assertEqual(array.shape, expected.shape)
        self.assertFalse(array.flags.writeable and array.size)

    def test_a_very_large_view_takes_no_memory(self):
        array = tensor(0, (10**6, 10**6), (0, 0)).array()
        self.assertEqual(array.shape, (10**6, 10**6))
        self.assertEqual(array.strides, (0, 0))

    @parameterized.parameters(
        (24, (1,), (1,)),
        (0, (25,), (1,)),
        (0, (4, 6), (7, 1)),
        (1, (4, 6), (6, 1)),
        (0, (2, 2), (10**30, 1)),
        (10**30, (1,), (1,)),
    )
    def test_may_not_leave_its_storage(self, offset, size, stride):
        with self.assertRaisesRegex(ValueError, "leaves its storage '0'"):
            tensor(offset, size, stride).array()

    @parameterized.parameters(
        (-1, (1,), (1,)),
        (0, (-4, -6), (6, 1)),
        (4, (4,), (-1,)),
        (0, (4, 6), (1,)),
        (0.0, (1,), (1,)),
        (True, (1,), (1,)),
        (0, ("4",), (1,)),
        (0, (np.int64(4),), (1,)),
    )
    def test_has_counts_that_are_not_negative(self, offset, size, stride):
        with self.assertRaisesRegex(ValueError, "A tensor has offset"):
            tensor(offset, size, stride)

    def test_needs_a_storage(self):
        rebuild = tensors.CONSTRUCTORS["torch._utils._rebuild_tensor"]
        with self.assertRaisesRegex(ValueError, "A tensor has offset"):
            rebuild([1, 2], 0, (1,), (1,))

    @parameterized.parameters((23, BYTES), (24, BYTES[:-1]), (24, None))
    def test_a_storage_of_another_size_is_refused(self, numel, data):
        wrong = tensors.Tensor(storage(numel, data), 0, (1,), (1,))
        with self.assertRaisesRegex(ValueError, "storage '0' has not the"):
            wrong.array()


class StorageTest(TestCase):
    def identifier(self, **changes):
        """The identifier of a storage in a pickle."""
        parts = {
            "kind": "storage",
            "name": pickles.Name("torch.HalfStorage"),
            "key": "3",
            "device": "cuda:0",
            "numel": 5,
        }
        return tuple((parts | changes).values())

    @parameterized.parameters("cpu", "cuda:0", "mps", "xla:1")
    def test_any_device_will_do(self, device):
        found = tensors.storage(self.identifier(device=device))
        self.assertEqual((found.key, found.numel), ("3", 5))
        self.assertEqual(found.dtype, "float16")

    @parameterized.parameters(
        {"kind": "module"},
        {"name": "torch.QInt8Storage"},
        {"key": 3},
        {"numel": -1},
        {"numel": 2.0},
        {"view": ("3", 0, 5)},
    )
    def test_what_is_none_is_refused(self, **changes):
        with self.assertRaisesRegex(ValueError, "It refers to"):
            tensors.storage(self.identifier(**changes))

    def test_the_types_of_numbers_are_those_of_numpy(self):
        found = {
            name.removeprefix("torch."): dtype.name
            for name, dtype in tensors.STORAGES.items()
            if "cuda" not in name
        }
        self.assertEqual(found["BFloat16Storage"], "bfloat16")
        self.assertEqual(found["DoubleStorage"], "float64")
        self.assertEqual(found["LongStorage"], "int64")
        self.assertLen(found, 10)
