import math

from study import tables
from study.arms import Arm
from study.arms import Study

from tests.test_case import TestCase

STUDY = Study(
    name="small",
    arms={"relu": Arm(reported=("68.8", "33.0")), "silu": Arm(), "mish": Arm()},
    shown={"milliseconds": "ms a step"},
)


def row(arm, seed, clean, robust, autoattack="", milliseconds=5.0):
    return {
        "arm": arm,
        "seed": str(seed),
        "clean_accuracy": str(clean),
        "robust_accuracy": str(robust),
        "autoattack_accuracy": str(autoattack),
        "milliseconds": str(milliseconds),
    }


ROWS = [
    row("relu", 0, 0.80, 0.50, 0.45, 5),
    row("relu", 1, 0.82, 0.52),
    row("relu", 2, 0.84, 0.54),
    row("silu", 0, 0.80, 0.51, 0.47, 6),
    row("silu", 1, 0.82, 0.54),
    row("silu", 2, 0.84, 0.57),
]


def compared(rows, arms):
    return tables.comparison(rows, list(arms), "relu", "robust_accuracy")


class MarkdownTest(TestCase):
    def cells(self, rows):
        """Returns a dict from the titles to the cells, for each arm."""
        titles, _, *lines = [
            [cell.strip() for cell in line.strip("|").split(" | ")]
            for line in tables.markdown(rows, STUDY).splitlines()
        ]
        return titles, {line[0]: line for line in lines}

    def test_the_numbers_are_those_by_hand(self):
        titles, lines = self.cells(ROWS)
        # Arms without rows have no line.
        self.assertEqual(list(lines), ["`relu`", "`silu`"])
        relu, silu = lines["`relu`"], lines["`silu`"]
        # 4.3027 * 2 / sqrt(3) = 4.97.
        self.assertEqual(
            relu[:5], "`relu`;3;82.00 ± 4.97;52.00 ± 4.97;45.00".split(";")
        )
        self.assertEqual(silu[3], "54.00 ± 7.45")
        place = titles.index("robust − relu")
        # Differences of 1, 2 and 3 points: p = 0.0742, of one comparison.
        self.assertEqual(silu[place : place + 2], ["+2.00 ± 2.48", "0.074"])
        place = titles.index("clean − relu")
        self.assertEqual(silu[place : place + 2], ["+0.00 ± 0.00", "1"])
        self.assertEqual(relu[place : place + 2], ["–", "–"])
        self.assertEqual(silu[titles.index("ms a step")], "5.33 ± 1.43")

    def test_what_the_paper_reports_is_marked(self):
        titles, lines = self.cells(ROWS)
        self.assertEqual(
            titles[-2:], ["reported by the paper: clean", "PGD-200"]
        )
        self.assertEqual(lines["`relu`"][-2:], ["68.8", "33.0"])
        self.assertEqual(lines["`silu`"][-2:], ["–", "–"])
        others = [r for r in ROWS if r["arm"] == "silu"]
        self.assertNotIn("reported", tables.markdown(others, STUDY))

    def test_p_is_corrected_for_the_number_of_arms(self):
        rows = ROWS + [
            row("mish", 0, 0.8, 0.58),
            row("mish", 1, 0.8, 0.51),
            row("mish", 2, 0.8, 0.57),
        ]
        found = tables.comparison(
            rows, list(STUDY.arms), "relu", "robust_accuracy"
        )
        alone = tables.comparison(
            ROWS, ["relu", "silu"], "relu", "robust_accuracy"
        )
        self.assertAllClose(found["silu"].p, 2 * alone["silu"].p)
        self.assertGreaterEqual(found["mish"].p, found["silu"].p)

    def test_one_seed_has_no_interval(self):
        rows = [r for r in ROWS if r["seed"] == "0"]
        found = tables.comparison(
            rows, ["relu", "silu"], "relu", "robust_accuracy"
        )
        self.assertAllClose(found["silu"].mean, 0.01)
        self.assertTrue(math.isnan(found["silu"].p))
        self.assertNotIn("nan", tables.markdown(rows, STUDY))
