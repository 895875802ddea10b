"""Where the points of a curve lie in its picture."""

import itertools
import re

from absl.testing import parameterized

from keras_sat.evaluation import page_curves
from tests.test_case import TestCase


def points(svg):
    """Returns the points of the curve, a list of pairs of floats."""
    (corners,) = re.findall('points="(.*?)"', svg)
    return [tuple(map(float, c.split(","))) for c in corners.split()]


class CurveTest(TestCase):
    @parameterized.parameters(
        (False, {0.0: 1.0, 0.3: 0.5, 0.1: 0.8}, (0, 1 / 3, 1)),
        (True, {1.0: 0.6, 100.0: 0.0, 10.0: 0.25}, (0, 1 / 2, 1)),
    )
    def test_points_lie_at_their_values(self, logarithmic, curve, shares):
        svg = page_curves.accuracy_curve(curve, "steps", logarithmic)
        found = points(svg)
        width = page_curves.WIDTH - page_curves.LEFT - page_curves.RIGHT
        height = page_curves.HEIGHT - page_curves.TOP - page_curves.BOTTOM
        expected = [
            (
                page_curves.LEFT + share * width,
                page_curves.TOP + (1 - y) * height,
            )
            for share, (_, y) in zip(shares, sorted(curve.items()), strict=True)
        ]
        self.assertAllClose(found, expected, atol=0.05)

    def test_a_single_value_is_a_point(self):
        svg = page_curves.accuracy_curve({0.0: 0.5}, "epsilon")
        self.assertEqual(points(svg)[0][0], page_curves.LEFT)
        self.assertEqual(svg.count("<circle"), 1)

    def test_the_marked_number_has_an_upright_line(self):
        curve = {0.0: 1.0, 0.1: 0.5, 0.2: 0.25}
        svg = page_curves.accuracy_curve(curve, "epsilon", marked=0.1)
        (x,) = re.findall('class="mark" x1="(.*?)"', svg)
        self.assertEqual(float(x), points(svg)[1][0])
        svg = page_curves.accuracy_curve(curve, "epsilon", marked=0.15)
        self.assertNotIn("mark", svg)

    def test_labels_do_not_touch_each_other(self):
        curve = {i / 100: 0.5 for i in range(100)}
        svg = page_curves.accuracy_curve(curve, "epsilon")
        found = re.findall('<text x="(.*?)" y="234">(.*?)<', svg)
        self.assertGreater(len(found), 5)
        for (x, text), (y, other) in itertools.pairwise(found):
            digits = (len(text) + len(other)) / 2
            self.assertGreater(float(y) - float(x), digits * page_curves.DIGIT)

    def test_the_marked_number_keeps_its_label(self):
        curve = {0.0: 1.0, 1 / 255: 0.5, 2 / 255: 0.25, 0.06: 0.0}
        for marked, label in ((1 / 255, "0.00392"), (2 / 255, "0.00784")):
            svg = page_curves.accuracy_curve(curve, "epsilon", marked=marked)
            self.assertIn(f">{label}</text>", svg)
