"""Tests of finding dictionaries of tensors in a file."""

import numpy as np
from absl.testing import parameterized

from keras_sat.torch_weights import state_dicts
from keras_sat.torch_weights import tensors
from tests.test_case import TestCase

ARRAY = np.ones(3, "float32")
WEIGHTS = {"fc.weight": ARRAY, "fc.bias": ARRAY}


class StateDictsTest(TestCase):
    @parameterized.parameters(
        (WEIGHTS, ""),
        ({"state_dict": WEIGHTS, "epoch": 3}, "state_dict"),
        ({"model": {"net": WEIGHTS}}, "model.net"),
        ([WEIGHTS, {"lr": 0.1}], "0"),
        (("a", [1, {"x": WEIGHTS}]), "1.1.x"),
    )
    def test_weights_are_found_in_any_wrapper(self, content, place):
        found = state_dicts.find(content)
        self.assertEqual(list(found), [place])
        self.assertEqual(list(found[place]), list(WEIGHTS))

    def test_moving_averages_come_first(self):
        content = {
            "unaveraged_net": dict(WEIGHTS),
            "state_dict": dict(WEIGHTS),
            "optimizer": {"state": {0: {"exp_avg": ARRAY}}},
            "model_ema": dict(WEIGHTS),
        }
        found = list(state_dicts.find(content))
        self.assertEqual(found[0], "model_ema")
        self.assertEqual(
            found[1:], ["unaveraged_net", "state_dict", "optimizer.state.0"]
        )

    def test_tensors_become_arrays(self):
        storage = tensors.Storage(
            key="0", dtype=ARRAY.dtype, numel=3, data=ARRAY.tobytes()
        )
        tensor = tensors.Tensor(storage, 0, (3,), (1,))
        found = state_dicts.find({"a": tensor, 5: tensor})
        self.assertAllEqual(found[""]["a"], ARRAY)
        self.assertAllEqual(found[""]["5"], ARRAY)

    def test_a_list_may_contain_itself_or_one_other_very_often(self):
        content = [WEIGHTS]
        content.append(content)
        self.assertEqual(list(state_dicts.find(content)), ["0"])
        # Each list holds the one before it a thousand times: 10 ** 45 paths.
        nested = [WEIGHTS]
        for _ in range(15):
            nested = [nested] * 1000
        self.assertLen(state_dicts.find(nested), 1)

    def test_very_deep_lists_are_refused(self):
        nested = [WEIGHTS]
        for _ in range(10**5):
            nested = [nested]
        with self.assertRaisesRegex(ValueError, "nested more than 16 times"):
            state_dicts.find(nested)

    def test_files_without_tensors_have_none(self):
        for content in (None, 3, "word", {}, {"a": [1, 2.0, "b"]}):
            self.assertEqual(state_dicts.find(content), {})
