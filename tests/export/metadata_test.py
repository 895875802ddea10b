"""Tests of the metadata of an export."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import keras_sat
from keras_sat.export.metadata import METADATA_FILE
from keras_sat.export.metadata import read_metadata
from keras_sat.preprocessing import View
from tests.evaluation import sample_reports
from tests.export.exported import NAMES
from tests.export.exported import SIGNATURES
from tests.export.exported import ExportTest


class MetadataTest(ExportTest):
    @pytest.mark.large
    def test_files_are_cropped_as_in_the_evaluation_of_the_report(self):
        report = sample_reports.report()
        view = {"crop": "none", "resizing": "bicubic"}
        seen = sample_reports.report(settings={"view": view})
        usual = View().settings()
        for options, expected in (
            ({}, usual),
            ({"report": report}, usual),
            ({"report": seen}, view),
            ({"report": seen, "crop": "centre"}, view | {"crop": "centre"}),
        ):
            self.export(**options)
            self.assertEqual(read_metadata(self.path)["view"], expected)

    def test_of_other_saved_models_nothing_is_read(self):
        tf.saved_model.save(tf.Module(), self.path)
        self.assertEqual(read_metadata(self.path), {})
        file = pathlib.Path(self.path) / METADATA_FILE
        file.parent.mkdir()
        file.write_text('{"format": "another", "value_range": [0, 9]}')
        self.assertEqual(read_metadata(self.path), {})

    def test_the_metadata_can_be_read_without_tensorflow(self):
        report = keras_sat.RobustnessReport(
            labels=np.array([0, 1, 2, 3]),
            outcomes=np.array([-1, 0, 1, 1]),
            attacks=("PGD",),
            epsilon=4 / 255,
            norm="linf",
            seed=0,
            settings={},
            versions={},
            warnings=(),
        )
        self.export(
            class_names=NAMES, report=report, metadata={"author": "tests"}
        )
        file = pathlib.Path(self.path) / "assets.extra" / "keras_sat.json"
        content = json.loads(file.read_text())
        self.assertEqual(content["class_names"], NAMES)
        self.assertEqual(content["image_shape"], [8, 8, 3])
        self.assertEqual(content["value_range"], [0, 1])
        self.assertContainsSubset(SIGNATURES, content["signatures"])
        self.assertEqual(content["training"]["norm"], "linf")
        self.assertEqual(content["training"]["epsilon"], 4 / 255)
        self.assertEqual(content["robustness"]["robust_accuracy"], 0.5)
        self.assertEqual(content["robustness"]["clean_accuracy"], 0.75)
        self.assertEqual(content["robustness"]["epsilon"], 4 / 255)
        self.assertEqual(content["versions"]["tensorflow"], tf.__version__)
        self.assertEqual(content["metadata"], {"author": "tests"})
