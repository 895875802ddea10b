"""Tests of the checks of arrays, datasets and generators."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from keras_sat.checks.batches import BatchSpec
from keras_sat.checks.datasets import BatchGuard
from keras_sat.checks.datasets import unpack_batch
from tests.test_case import TestCase

GOOD = np.full((4, 8, 8, 3), 0.5, "float32"), np.arange(4)


class Batches(keras.utils.PyDataset):
    """A `PyDataset` of given batches."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self.epochs = 0

    @property
    def num_batches(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.epochs += 1


def as_dataset(batches):
    """Returns a `tf.data.Dataset` of batches of the same shape."""
    parts = zip(*batches, strict=True)
    stacked = tuple(np.stack(part) for part in parts)
    return tf.data.Dataset.from_tensor_slices(stacked)


def as_generator(batches):
    yield from batches


FORMS = {"dataset": as_dataset, "generator": as_generator, "py": Batches}


def faulty(fault):
    """Returns three batches, the last of which has a fault."""
    images, labels = (part.copy() for part in GOOD)
    if fault == "images":
        images[-1] = np.nan
    else:
        labels[-1] = 5
    return [GOOD, GOOD, (images, labels)]


class BatchGuardTest(TestCase):
    def setUp(self):
        super().setUp()
        attack = keras_sat.FGSM(epsilon=0.1)
        self.model = keras_sat.SATModel(
            self.tiny_classifier()[0], attack, attack
        )

    @parameterized.product(form=[*FORMS], fault=["images", "labels"])
    def test_a_fault_of_a_later_batch_ends_in_words(self, form, fault):
        message = f"`{fault}` must .*This is batch 2, counted from 0."
        model = self.model
        actions = {
            "fit": lambda data: model.fit(data, verbose=0),
            "validation": lambda data: model.fit(
                *GOOD, validation_data=data, verbose=0
            ),
            "evaluate": lambda data: model.evaluate(data, verbose=0),
            "evaluate_robustness": lambda data: keras_sat.evaluate_robustness(
                model, data, model.attack, diagnose=False, verbose=0
            ),
        }
        for name, action in actions.items():
            with self.subTest(name):
                with self.assertRaisesRegex(ValueError, message):
                    action(FORMS[form](faulty(fault)))

    def test_what_is_not_looked_at_is_not_checked(self):
        faults = as_dataset(faulty("labels"))
        self.assertLen(self.model.predict(faults, verbose=0), 12)
        self.model.compile(check_every_batch=False)
        history = self.model.fit(as_dataset(faulty("images")), verbose=0)
        self.assertTrue(np.isnan(history.history["loss"][0]))

    def test_checks_change_nothing_and_keep_what_is_known_of_a_dataset(self):
        watch = BatchGuard(self.model.expected_batches())
        dataset = as_dataset([GOOD] * 3)
        dataset.epoch = tf.Variable(0)
        watched = watch.checked(dataset)
        self.assertIs(watched.epoch, dataset.epoch)
        self.assertEqual(watched.cardinality(), 3)
        self.assertEqual(watched.element_spec, dataset.element_spec)
        for before, after in zip(dataset, watched, strict=True):
            self.assertAllEqual(before[0], after[0])
            self.assertAllEqual(before[1], after[1])

    def test_the_hooks_of_a_py_dataset_are_called(self):
        watched, plain = Batches([GOOD, GOOD]), Batches([GOOD, GOOD])
        self.model.fit(watched, epochs=2, verbose=0)
        self.model.model.compile(loss="sparse_categorical_crossentropy")
        self.model.model.fit(plain, epochs=2, verbose=0)
        self.assertGreater(plain.epochs, 1)
        self.assertEqual(watched.epochs, plain.epochs)

    def test_shapes_that_a_dataset_does_not_tell_become_known(self):
        unknown = tf.data.Dataset.from_generator(
            lambda: iter([GOOD] * 2),
            output_signature=(
                tf.TensorSpec(None),
                tf.TensorSpec(None, tf.int64),
            ),
        )
        watched = BatchGuard(self.model.expected_batches()).checked(unknown)
        images, labels = watched.element_spec
        self.assertEqual(images.shape, (None, 8, 8, 3))
        self.assertEqual(labels.shape, (None,))

    @parameterized.parameters("generator", "py")
    def test_batches_of_several_kinds_are_refused(self, form):
        images, labels = GOOD
        one_hot = np.eye(5)[labels]
        for other in ((images.astype("uint8"), labels), (images, one_hot)):
            with self.assertRaisesRegex(
                ValueError, "`dataset` must give images of one dtype.* and 1"
            ):
                self.model.fit(FORMS[form]([GOOD, other]), verbose=0)

    def test_an_endless_dataset_needs_a_number_of_steps(self):
        endless = as_dataset([GOOD]).repeat()
        model = self.model
        for action in (
            lambda: model.fit(endless),
            lambda: model.fit(*GOOD, validation_data=endless),
            lambda: model.evaluate(endless),
            lambda: model.predict(endless),
            lambda: keras_sat.evaluate_robustness(model, endless),
        ):
            with self.assertRaisesRegex(ValueError, r"be finite.*\.take\(n\)"):
                action()
        model.fit(
            endless,
            steps_per_epoch=1,
            validation_data=endless,
            validation_steps=1,
            verbose=0,
        )
        model.evaluate(endless, steps=1, verbose=0)
        self.assertLen(model.predict(endless, steps=2, verbose=0), 8)

    def test_labels_beside_a_dataset_are_refused(self):
        with self.assertRaisesRegex(ValueError, "`y` must be None where `x`"):
            self.model.fit(as_dataset([GOOD]), GOOD[1])
        with self.assertRaisesRegex(ValueError, "`sample_weight` must be None"):
            self.model.fit(as_dataset([GOOD]), sample_weight=np.ones(4))


class PartsTest(TestCase):
    def test_the_keys_of_a_dictionary_are_told_and_how_to_map_them(self):
        with self.assertRaisesRegex(
            TypeError,
            r"the keys \['id', 'image', 'label'\]. Map it: .*lambda batch: "
            r"\(batch\['image'\], batch\['label'\]\)\)",
        ):
            unpack_batch({"image": 1, "label": 2, "id": 3})

    def test_a_tuple_of_four_is_refused(self):
        with self.assertRaisesRegex(ValueError, "Received tuples of 4"):
            unpack_batch((1, 2, 3, 4))

    def test_an_unlabelled_batch_is_enough_where_none_are_needed(self):
        self.assertEqual(unpack_batch([1], labelled=False), (1, None, None))
        with self.assertRaisesRegex(ValueError, "batches without labels"):
            unpack_batch((1,))
        expected = BatchSpec(value_range=(0, 1), labelled=False)
        BatchGuard(expected).checked(GOOD[0])
