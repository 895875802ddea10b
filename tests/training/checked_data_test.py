"""Tests of the checks of data wherever they enter a `SATModel`."""

import keras
import numpy as np
import tensorflow as tf
from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase
from tests.training.problems import dataset
from tests.training.problems import images_like

BAD_DATA = {
    "grey levels as floats": (
        images_like() * 255,
        np.zeros(4, int),
        r"`images` must lie in `value_range`=\(0.0, 1.0\). Received values in "
        r"\[127.5, 127.5\]. Divide the images by 255, or pass uint8.",
    ),
    "normalized images": (
        images_like() * -2,
        np.zeros(4, int),
        "`images` must lie in .*Undo the normalization",
    ),
    "nan": (
        images_like() * np.nan,
        np.zeros(4, int),
        "`images` must be finite. Received NaN or infinite values.",
    ),
    "infinity": (
        images_like() * np.inf,
        np.zeros(4, int),
        "`images` must be finite",
    ),
    "rank": (
        images_like((4, 8, 8)),
        np.zeros(4, int),
        r"`images` must have the shape \(batch, 8, 8, 3\). Received shape "
        r"\(4, 8, 8\)",
    ),
    "channels": (
        images_like((4, 8, 8, 1)),
        np.zeros(4, int),
        r"`images` must have the shape \(batch, 8, 8, 3\)",
    ),
    "int32": (
        images_like(dtype="int32"),
        np.zeros(4, int),
        "`images` must be float, in `value_range`, or uint8. Received dtype "
        "int32. Cast the images to uint8",
    ),
    "negative class": (
        images_like(),
        np.full(4, -1),
        r"`labels` must lie in \[0, num_classes=5\). Received class ids from "
        "-1 to -1",
    ),
    "large class": (
        images_like(),
        np.full(4, 5),
        r"`labels` must lie in \[0, num_classes=5\). Received.*from 5 to 5",
    ),
    "column of floats": (
        images_like(),
        np.zeros((4, 1)),
        "`labels` must be int class ids.*shape.*Cast class ids to int",
    ),
    "rank 3": (
        images_like(),
        np.zeros((4, 5, 1)),
        "`labels` must be int class",
    ),
    "narrow one-hot": (
        images_like(),
        np.eye(4),
        r"`labels` must have the shape \(batch, 5\).*Received.*\(4, 4\)",
    ),
    "float ids": (
        images_like(),
        np.zeros(4, "float32"),
        "`labels` must be int class ids.*dtype float32.*Cast class ids to int",
    ),
    "no probabilities": (
        images_like(),
        np.ones((4, 5)),
        "`labels` must be probabilities that sum to 1 .*sums from 5 to 5",
    ),
    "too few labels": (
        images_like(),
        np.zeros(3, int),
        r"`labels` must have one entry for each of the 4 images. .*\(3,\)",
    ),
}


class BadInputTest(TestCase):
    def setUp(self):
        super().setUp()
        self.model = keras_sat.SATModel(self.tiny_classifier()[0])

    @parameterized.named_parameters(
        (name.replace(" ", "_"), *case) for name, case in BAD_DATA.items()
    )
    def test_bad_data_is_refused(self, images, labels, message):
        kind = TypeError if images.dtype == "int32" else ValueError
        good = dataset(images_like(), np.zeros(4, int))
        with self.assertRaisesRegex(kind, message):
            self.model.fit(images, labels, verbose=0)
        with self.assertRaisesRegex(kind, message):
            self.model.evaluate(images, labels, verbose=0)
        with self.assertRaisesRegex(kind, message):
            self.model.fit(good, validation_data=(images, labels), verbose=0)
        if len(images) == len(labels):
            with self.assertRaisesRegex(kind, message):
                self.model.fit(dataset(images, labels), verbose=0)

    def test_an_empty_dataset_is_refused(self):
        empty = dataset(images_like(), np.zeros(4, int)).take(0)
        with self.assertRaisesRegex(
            ValueError, "`dataset` must not be empty. Received no batch."
        ):
            self.model.fit(empty)

    def test_a_dataset_without_labels_is_refused(self):
        images = tf.data.Dataset.from_tensor_slices(images_like()).batch(2)
        for data in (images, images_like()):
            with self.assertRaisesRegex(
                ValueError,
                r"`dataset` must give batches \(images, labels\). Received "
                "batches without labels.",
            ):
                self.model.fit(data)

    def test_several_inputs_are_refused(self):
        with self.assertRaisesRegex(
            TypeError, "`images` must be a single array. Received a dict"
        ):
            self.model.fit({"a": images_like()}, np.zeros(4, int))

    def test_validation_data_of_four_parts_are_refused(self):
        images, labels = images_like(), np.zeros(4, int)
        with self.assertRaisesRegex(ValueError, "Received tuples of 4"):
            self.model.fit(
                images, labels, validation_data=(images, labels, None, 1)
            )

    @parameterized.parameters(
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "predict_on_batch",
    )
    def test_probabilities_made_by_hand_are_found_in_the_first_batch(self, do):
        base = self.tiny_classifier()[0]
        powers = keras.ops.exp(base.output)
        sums = keras.ops.sum(powers, axis=1, keepdims=True)
        model = keras_sat.SATModel(keras.Model(base.input, powers / sums))
        images = np.random.default_rng(0).uniform(size=(4, 8, 8, 3))
        labels = () if "predict" in do else (np.zeros(4, int),)
        with self.assertRaisesRegex(ValueError, "`model` must return logits"):
            getattr(model, do)(images.astype("float32"), *labels)

    def test_a_range_that_the_network_scales_itself_is_refused(self):
        base = self.tiny_classifier()[0]
        inputs = keras.Input((8, 8, 3))
        scaled = keras.layers.Rescaling(1 / 255, name="scale")(inputs)
        network = keras.Model(inputs, base(scaled))
        images, labels = images_like(dtype="uint8"), np.zeros(4, int)
        message = "`value_range` must be .* layer 'scale'.*=\\(0, 255\\)`"
        for action in (
            lambda: keras_sat.SATModel(network),
            lambda: keras_sat.FGSM()(network, images, labels),
            lambda: keras_sat.evaluate_robustness(network, (images, labels)),
        ):
            with self.assertRaisesRegex(ValueError, message):
                action()
        model = keras_sat.SATModel(network, value_range=(0, 255))
        self.assertLen(model.predict(images, verbose=0), 4)

    def test_predict_refuses_images_out_of_range(self):
        with self.assertRaisesRegex(ValueError, "`images` must lie in"):
            self.model.predict(images_like() * 255)

    def test_a_bad_batch_is_not_taken_for_the_end_of_the_data(self):
        def end(iterator):
            # As the second of two replicas, which finds nothing behind it.
            raise tf.errors.OutOfRangeError(None, None, "End of sequence")

        step = self.model._not_ending_early(end)
        good = dataset(images_like(), np.zeros(4, int))
        bad = dataset(images_like() * np.nan, np.zeros(4, int))
        with self.model.checked(good.concatenate(bad)) as data:
            with self.assertRaises(tf.errors.OutOfRangeError):
                step(None)
            with self.assertRaises(tf.errors.InvalidArgumentError):
                list(data)
            with self.assertRaisesRegex(ValueError, "finite.*This is batch 1"):
                step(None)
        # It concerns no other data.
        with self.assertRaises(tf.errors.OutOfRangeError):
            step(None)
