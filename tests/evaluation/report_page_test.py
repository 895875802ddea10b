"""The page of a report: what it says, and that it needs nothing else."""

import base64
import configparser
import pathlib
import re
import sys
from unittest import mock

import numpy as np
import tensorflow as tf

from keras_sat.evaluation import report_page
from keras_sat.evaluation.confidence import wilson_interval
from keras_sat.evaluation.report import Finding
from tests.evaluation.pages import Page
from tests.evaluation.sample_reports import LABELS
from tests.evaluation.sample_reports import full_report
from tests.evaluation.sample_reports import report
from tests.test_case import TestCase

HOSTILE = "<script>alert('x')</script> \"&amp;\" $title </style>"


def rows(page):
    """Returns the cells of the rows of all tables, as lists of texts."""
    parts = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", part) for part in parts]
    unescape = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
    pattern = re.compile("|".join(unescape))
    return [
        [pattern.sub(lambda m: unescape[m[0]], cell) for cell in row]
        for row in cells
    ]


class PageTest(TestCase):
    def setUp(self):
        super().setUp()
        self.report = full_report()
        self.source = report_page.page(self.report)
        self.page = Page(self.source)

    def test_it_is_well_formed_and_loads_nothing(self):
        for found in (self.report, report(), report(curves={}, examples=None)):
            source = report_page.page(found)
            page = Page(source)
            self.assertEqual(page.open, [])
            self.assertStartsWith(source, "<!doctype html>")
            text = re.sub(r"data:image/png;base64,[\w+/=]+", "", source)
            outside = re.findall(r"https?:|//|url\(|@import|<script|\$", text)
            self.assertEqual(outside, [])
            self.assertNotIn("link", page.names)
            for image in page.all("img"):
                self.assertStartsWith(image["src"], "data:image/png;base64,")

    def test_the_accuracies_are_those_of_the_report(self):
        found = rows(self.source)
        shares = {"clean": 7 / 8, "after APGD-CE": 4 / 8, "after Square": 3 / 8}
        change = {"after APGD-CE": "-37.50", "after Square": "-12.50"}
        for name, share in (shares | {"worst case": 3 / 8}).items():
            low, high = wilson_interval(share, 8)
            interval = f"{100 * low:.2f} % to {100 * high:.2f} %"
            row = [name, f"{100 * share:.2f} %", change.get(name, ""), interval]
            self.assertIn(row, found)
        for cards in ("87.50 %", "37.50 %", "95% interval 13.68 % to 69.43 %"):
            self.assertIn(cards, self.page.texts["dd"])

    def test_each_class_has_its_row_and_its_confusion(self):
        found = rows(self.source)
        for label, row in self.report.per_class.items():
            robust, count = row["robust_accuracy"], row["images"]
            low, high = wilson_interval(robust, count)
            self.assertIn(
                [
                    self.report.class_name(label),
                    str(count),
                    f"{100 * row['clean_accuracy']:.2f} %",
                    f"{100 * robust:.2f} %",
                    f"{100 * low:.2f} % to {100 * high:.2f} %",
                ],
                found,
            )
        for label, counts in enumerate(self.report.confusion.tolist()):
            name = self.report.class_name(label)
            self.assertIn([name, *map(str, counts)], found)

    def test_of_many_classes_the_most_frequent_mistakes_are_shown(self):
        predicted = np.array([30, 30, 1, 0, 2, 2, 30, 7])
        found = full_report(
            class_names=None, adversarial_predictions=predicted, labels=LABELS
        )
        table = rows(report_page.page(found))
        head = table.index(["class", "taken for", "images", "of the class"])
        self.assertEqual(
            table[head + 1 : head + 4],
            [
                ["0", "30", "2", "50.00 %"],
                ["0", "1", "1", "25.00 %"],
                ["2", "30", "1", "33.33 %"],
            ],
        )

    def test_of_many_classes_the_least_robust_come_first(self):
        labels = np.arange(30)
        outcomes = np.where(labels < 25, 2, 0)
        found = rows(report_page.page(report(labels=labels, outcomes=outcomes)))
        head = ["class", "images", "clean", "robust", "95% interval of robust"]
        first = found.index(head)
        names = [row[0] for row in found[first + 1 : first + 21]]
        self.assertEqual(names, list(map(str, [*range(25, 30), *range(15)])))
        second = found.index(head, first + 1)
        names = [row[0] for row in found[second + 1 : second + 31]]
        self.assertEqual(names, list(map(str, labels)))

    def test_the_curves_have_all_values(self):
        titles = " ".join(self.page.texts["title"])
        found = rows(self.source)
        for curve in self.report.curves.values():
            for x, y in curve.items():
                self.assertIn(f"{x:g}: {100 * y:.2f} %", titles)
                self.assertIn([f"{x:.5g}", f"{100 * y:.2f} %"], found)
        for curve in self.page.all("svg"):
            self.assertEqual(curve["role"], "img")
            self.assertIn("Accuracy over", curve["aria-label"])

    def test_the_images_are_those_of_the_report(self):
        extremes = self.report.extremes
        expected = [
            picture
            for pair in zip(
                extremes["images"], extremes["adversarial"], strict=True
            )
            for picture in pair
        ]
        found = self.page.all("img")
        for image, picture in zip(found, expected, strict=True):
            content = base64.b64decode(image["src"].partition(",")[2])
            self.assertAllEqual(tf.io.decode_png(content), picture)
            self.assertEqual((image["width"], image["height"]), ("5", "6"))
        self.assertEqual(
            [image["alt"] for image in found],
            [
                "Image 1, clean: predicted cat",
                "Image 1 after APGD-CE: predicted <dog>",
                "Image 4, clean: predicted <dog>",
                "Image 4 after Square: predicted <dog>",
            ],
        )
        captions = self.page.texts["figcaption"][-2:]
        self.assertIn("1: cat", captions[0])
        self.assertIn("APGD-CE, lead -1.5", captions[0])
        self.assertIn("Square, lead +0.25", captions[1])
        sections = self.page.texts["h3"]
        self.assertContainsSubset(["Worst images", "Luckiest images"], sections)

    def test_the_findings_come_with_advice(self):
        (finding,) = self.report.warnings
        self.assertIn(f"{finding.found} {finding.meaning}", self.source)
        self.assertIn(f"What to do: {finding.remedy}", self.page.texts["p"])
        without = Page(report_page.page(report(warnings=())))
        self.assertIn("No warnings.", without.texts["p"])
        without = Page(report_page.page(report(warnings=(), curves={})))
        self.assertIn("Not diagnosed.", without.texts["p"])
        self.assertIn("not known", without.texts["dd"])

    def test_no_text_is_taken_for_markup(self):
        warning = Finding(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
        changes = {
            "attacks": (HOSTILE, "Square"),
            "warnings": (warning,),
            "class_names": (HOSTILE, *"bcdefgh"),
            "settings": {
                HOSTILE: {HOSTILE: HOSTILE},
                "view": {"crop": HOSTILE},
            },
            "versions": {HOSTILE: HOSTILE},
            "norm": HOSTILE,
        }
        page = Page(report_page.page(full_report(**changes)))
        self.assertEqual(set(page.names), set(self.page.names))
        self.assertEqual(page.open, [])
        keys = {key for key, _ in self.page.attributes}
        self.assertEqual({key for key, _ in page.attributes}, keys)
        for element in ("title", "h1", "h3", "p", "summary", "figcaption"):
            self.assertIn(HOSTILE, " ".join(page.texts[element]))
        self.assertIn(
            f"Image 1 after {HOSTILE}: predicted c",
            [image["alt"] for image in page.all("img")],
        )

    def test_settings_versions_and_fingerprint_are_on_it(self):
        found = rows(self.source)
        for row in (
            ["rho", "0.75"],
            ["value_range", "[0.0, 1.0]"],
            ["version of keras", "3.15"],
            ["seed", "3"],
            ["epsilon", "0.03137 (8/255)"],
            ["fingerprint of the images", self.report.fingerprint],
        ):
            self.assertIn(row, found)

    def test_it_needs_no_matplotlib(self):
        with mock.patch.dict(sys.modules, {"matplotlib.figure": None}):
            self.assertEqual(report_page.page(full_report()), self.source)

    def test_the_template_belongs_to_the_package(self):
        root = pathlib.Path(__file__).parents[2]
        parser = configparser.ConfigParser()
        parser.read(root / "setup.cfg", encoding="utf-8")
        data = parser["options.package_data"]["keras_sat.evaluation"]
        self.assertEqual(data.split(), [report_page.TEMPLATE.name])
        self.assertTrue(report_page.TEMPLATE.exists())
