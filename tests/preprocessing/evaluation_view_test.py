"""Tests of the images that an evaluation sees."""

import json

import numpy as np
import PIL.Image
import tensorflow as tf
from absl.testing import parameterized

from keras_sat.preprocessing import decoding
from keras_sat.preprocessing import evaluation_view
from keras_sat.preprocessing import resizing
from tests import photographs
from tests.test_case import FIXTURES
from tests.test_case import TestCase

# Parts of what the official evaluation makes of one JPEG file.
REFERENCE = FIXTURES / "eval_preprocessing.npz"


class ViewTest(TestCase):
    def contents(self):
        generator = np.random.default_rng(0)
        image = generator.integers(0, 256, (30, 50, 3), np.uint8)
        return image, tf.io.encode_png(image)

    @parameterized.parameters(*resizing.RESIZINGS)
    def test_each_crop_shows_its_part_of_the_picture(self, kernel):
        image, contents = self.contents()
        resize = resizing.RESIZINGS[kernel]
        # The largest square in the middle, and the whole picture.
        expected = {"centre": image[:, 10:40], "none": image}
        if kernel == "cv2_bicubic":
            # It crops what is resized, to a whole number of columns.
            del expected["centre"]
        for crop, part in expected.items():
            view = evaluation_view.View(crop=crop, resizing=kernel)
            found = view.image(contents, 16, 16)
            exact = resizing.to_uint8(resize(part, 16, 16))
            self.assertAllEqual(found, exact)
        view = evaluation_view.View(resizing=kernel, crop_padding=8)
        self.assertAllEqual(
            view.image(contents, 16, 16),
            evaluation_view.evaluation_image(contents, 16, 16, kernel, 8),
        )

    def test_the_usual_view_is_that_of_the_official_evaluation(self):
        _, contents = self.contents()
        found = evaluation_view.View().image(contents, 20, 12)
        usual = evaluation_view.evaluation_image(contents, 20, 12)
        self.assertAllEqual(found, usual)

    @parameterized.parameters(*evaluation_view.CROPS)
    def test_gray_is_that_of_the_image_in_color(self, crop):
        _, contents = self.contents()
        view = evaluation_view.View(crop=crop)
        gray = view.image(contents, 8, 8, channels=1)
        color = view.image(contents, 8, 8)
        self.assertAllEqual(gray, decoding.to_gray(color))

    def test_gray_pictures_stay_what_they_are(self):
        image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), np.uint8)
        view = evaluation_view.View(crop="centre")
        bmp = photographs.encoded(PIL.Image.fromarray(image[..., 0]), "BMP")
        for contents in (tf.io.encode_png(image), bmp):
            found = view.image(contents, 8, 8, channels=1)
            self.assertAllEqual(found, image)

    def test_its_settings_make_it_again(self):
        for view in (
            evaluation_view.View(),
            evaluation_view.View(crop_padding=0),
            evaluation_view.View(crop="none", resizing="bicubic"),
        ):
            settings = json.loads(json.dumps(view.settings()))
            self.assertEqual(evaluation_view.View(**settings), view)

    @parameterized.parameters(
        (
            "`crop` must be one of .*'centre', 'margin', 'none'",
            "crop",
            "center",
        ),
        ("`crop_padding` must be at least 0", "crop_padding", -1),
        ("`resizing` must be one of", "resizing", "nearest"),
    )
    def test_other_options_are_refused(self, message, name, value):
        with self.assertRaisesRegex(ValueError, message):
            evaluation_view.View(**{name: value})


class EvaluationViewTest(TestCase):
    @parameterized.parameters(224, 240)
    def test_images_are_those_of_the_official_evaluation(self, size):
        with np.load(REFERENCE) as reference:
            contents = reference["jpeg_bytes"].tobytes()
            name = f"efficientnet_eval_{size}_float"
            part, end = (
                np.clip(reference[f"{name}_{kind}"], 0, 255)
                for kind in ("every_4th", "last_columns")
            )
        crop = evaluation_view.decode_center(contents, size, size)
        image = resizing.resize(crop, size, size)
        self.assertAllClose(image[::4, ::4], part, rtol=0, atol=1e-3)
        # The colors there depend on how much of the file is decoded.
        self.assertAllClose(image[:, -2:], end, rtol=0, atol=1e-3)
        rounded = evaluation_view.evaluation_image(contents, size, size)
        self.assertEqual(rounded.dtype, tf.uint8)
        self.assertAllEqual(rounded, np.round(image))

    @parameterized.parameters(224, 299)
    def test_resized_images_are_those_of_opencv(self, size):
        with np.load(REFERENCE) as reference:
            rows = reference["cv2_decoded_bgr_first_rows"]
            expected = reference[f"resnet_eval_{size}_uint8_bgr_first_rows"]
        # What is further down plays no part in the first rows of the result.
        image = np.zeros((300, 420, 3), np.uint8)
        image[: len(rows)] = rows
        result = evaluation_view.resize_and_center_crop(image, size, size)
        difference = np.abs(result[: len(expected)] - expected.astype(float))
        # OpenCV computes in another order: a tie may be rounded otherwise.
        self.assertLessEqual(np.count_nonzero(difference), 2)
        self.assertLessEqual(difference.max(), 1)

    @parameterized.parameters(
        ((300, 420), (224, 224)),
        ((420, 300), (224, 224)),
        ((100, 400), (50, 100)),
        ((7, 5), (64, 32)),
    )
    def test_after_the_resize_the_window_is_centred(self, shape, result):
        # Columns count from left to right, rows from top to bottom.
        rows, columns = np.indices(shape, np.float32)
        image = 255 * np.stack(
            [
                (rows + 0.5) / shape[0],
                (columns + 0.5) / shape[1],
                np.zeros(shape),
            ],
            -1,
        )
        found = evaluation_view.resize_and_center_crop(image, *result)
        centre = tf.reduce_mean(found[..., :2], (0, 1))
        # Half a pixel of the result at most.
        self.assertAllClose(centre, [127.5, 127.5], atol=0.5 + 128 / result[0])
        fraction = [n / (n + 32) for n in result]
        spans = [
            float(tf.reduce_max(found[..., i]) - tf.reduce_min(found[..., i]))
            for i in range(2)
        ]
        self.assertLessEqual(spans[0], 255 * fraction[0] + 5)
        self.assertLessEqual(spans[1], 255 * fraction[1] + 5)
        self.assertGreater(
            max(spans[0] / fraction[0], spans[1] / fraction[1]), 240
        )

    def test_a_decoded_image_has_the_same_centre_but_for_its_border(self):
        with np.load(REFERENCE) as reference:
            contents = reference["jpeg_bytes"].tobytes()
        image = decoding.decode(contents)
        whole = evaluation_view.center_crop_and_resize(image, 240, 240)
        crop = evaluation_view.decode_center(contents, 240, 240)
        part = resizing.resize(crop, 240, 240)
        self.assertAllClose(whole[:, :-2], part[:, :-2], rtol=0, atol=1e-3)
        self.assertGreater(np.abs(whole[:, -2:] - part[:, -2:]).max(), 1)

    @parameterized.parameters(
        ((300, 420), (224, 224), 32, [19, 79, 262, 262]),
        ((420, 300), (224, 224), 32, [79, 19, 262, 262]),
        ((300, 421), (224, 224), 32, [19, 80, 262, 262]),
        ((256, 256), (224, 224), 32, [16, 16, 224, 224]),
        ((224, 224), (224, 224), 0, [0, 0, 224, 224]),
        ((100, 400), (50, 100), 0, [0, 100, 100, 200]),
        ((1, 1), (8, 8), 32, [0, 0, 1, 1]),
    )
    def test_the_window_is_centred(self, image, result, padding, window):
        found = evaluation_view.center_window(
            tf.constant([*image, 3]), *result, padding
        )
        self.assertAllEqual(found, window)

    def test_without_margin_an_image_of_the_size_stays_as_it_is(self):
        image = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
        same = evaluation_view.center_crop_and_resize(image, 9, 12, padding=0)
        self.assertAllEqual(same, image)
