import pathlib
from unittest import mock

import numpy as np
from matplotlib.figure import Figure
from study import pictures
from study.arms import Arm
from study.arms import Study

from tests.examples.studies.tables_test import row
from tests.test_case import TestCase

STUDY = Study(name="small", arms={"relu": Arm(), "silu": Arm(), "elu": Arm()})
ROWS = [
    row("relu", 0, 0.80, 0.50),
    row("relu", 1, 0.82, 0.52),
    row("relu", 2, 0.84, 0.54),
    row("silu", 0, 0.70, 0.60),
]


class PicturesTest(TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.get_temp_dir()) / "picture.png"

    def drawn(self, draw):
        """Returns the first axis of what is drawn, which is a PNG."""
        figures, save = [], Figure.savefig

        def kept(figure, *args, **kwargs):
            figures.append(figure)
            save(figure, *args, **kwargs)

        with mock.patch.object(Figure, "savefig", kept):
            draw()
        self.assertStartsWith(self.path.read_bytes(), b"\x89PNG")
        return figures[0].axes

    def test_the_scatter_has_means_and_intervals_of_arms_with_rows(self):
        axis, *_ = self.drawn(lambda: pictures.scatter(ROWS, STUDY, self.path))
        relu, silu = axis.containers
        self.assertEqual(
            [c.get_label() for c in axis.containers], ["relu", "silu"]
        )
        self.assertAllClose(relu.lines[0].get_xydata(), [[0.82, 0.52]])
        (low, _), (high, _) = relu.lines[2][0].get_segments()[0]
        # 4.3027 * 0.02 / sqrt(3) on both sides.
        self.assertAllClose([low, high], [0.7703, 0.8697], atol=1e-4)
        # A single run has no interval.
        (low, _), (high, _) = silu.lines[2][0].get_segments()[0]
        self.assertEqual((low, high), (0.7, 0.7))

    def test_curves_go_through_the_means(self):
        columns = {1: "clean_accuracy", 50: "robust_accuracy"}
        axis, *_ = self.drawn(
            lambda: pictures.curves(
                ROWS, STUDY.arms, columns, "steps", self.path, log=True
            )
        )
        lines = {line.get_label(): line.get_xydata() for line in axis.lines}
        self.assertAllClose(lines["relu"], [[1, 0.82], [50, 0.52]])
        self.assertAllClose(lines["silu"], [[1, 0.70], [50, 0.60]])
        self.assertEqual(axis.get_xscale(), "log")

    def test_arms_with_numbers_become_lines(self):
        lines = {"smooth": {1.0: "silu", 2.0: "elu"}, "sharp": {1.0: "relu"}}
        axis, *_ = self.drawn(
            lambda: pictures.arms_in_lines(ROWS, lines, "alpha", self.path)
        )
        found = {
            c.get_label(): c.lines[0].get_xydata() for c in axis.containers
        }
        # What has no rows is left out.
        self.assertAllClose(found["smooth"], [[1.0, 0.6]])
        self.assertAllClose(found["sharp"], [[1.0, 0.52]])

    def test_surfaces_have_the_gradient_to_the_right(self):
        columns = {(a, b): f"loss_{a}_{b}" for a in (0, 1) for b in (0, 1)}
        losses = {"loss_0_0": 1, "loss_1_0": 3, "loss_0_1": 2, "loss_1_1": 5}
        rows = [found | losses for found in ROWS]
        with mock.patch(
            "matplotlib.axes.Axes.contourf", autospec=True, side_effect=contour
        ) as drawn:
            self.drawn(
                lambda: pictures.surfaces(rows, STUDY.arms, columns, self.path)
            )
        self.assertLen(drawn.call_args_list, 2)
        x, y, found = drawn.call_args_list[0].args[1:4]
        self.assertEqual((list(x), list(y)), ([0, 1], [0, 1]))
        # Rows go up, across; columns go along the gradient.
        self.assertAllEqual(found, np.array([[1, 3], [2, 5]]))


def contour(axis, *args, **kwargs):
    """Draws the same as an image, which is all that the colors need."""
    return axis.imshow(args[2])
