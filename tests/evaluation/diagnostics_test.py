"""Findings in the outcomes of an evaluation, and none on sound models."""

import numpy as np
import pytest
from absl.testing import parameterized

from keras_sat.attacks import APGD
from keras_sat.attacks import Square
from keras_sat.evaluation import diagnostics
from keras_sat.evaluation.confidence import images_needed
from keras_sat.evaluation.confidence import wilson_interval
from tests.attacks import problems
from tests.evaluation.small_experiments import experiments
from tests.evaluation.small_experiments import found
from tests.evaluation.small_experiments import linear
from tests.evaluation.small_experiments import quantised
from tests.evaluation.small_experiments import survivors
from tests.test_case import TestCase

pytestmark = pytest.mark.numeric


class SoundModelTest(TestCase):
    @parameterized.parameters("linf", "l2")
    @pytest.mark.large
    def test_a_linear_model_gives_no_warning_from_any_diagnostic(self, norm):
        problem = problems.Linear(5, batch=1200)
        epsilon = problem.epsilons(norm)[1]
        images, labels = problem.images, problem.labels
        dlr = {"loss": "dlr", "target_classes": 4}
        attacks = (
            APGD(epsilon=epsilon, norm=norm, steps=20, **dlr),
            Square(epsilon=epsilon, norm=norm, queries=200),
        )
        outcomes = np.full(len(labels), 2)
        for i in (1, 0):
            left = survivors(problem.model, images, labels, attacks[i])
            outcomes[~left] = i
        self.assertBetween(np.mean(outcomes == 2), 0.2, 0.8)
        self.assertIsNone(
            diagnostics.black_box_beats_white_box(
                outcomes, [attack.label for attack in attacks]
            )
        )
        self.assertIsNone(diagnostics.few_images(np.mean(outcomes == 2), 1200))
        self.assertIsNone(diagnostics.images_out_of_range(0.0, 0))
        case = experiments(problem.model, images[:64], labels[:64], attacks[0])
        self.assertEqual(found(case), {})


class BlackBoxTest(TestCase):
    def test_a_black_box_attack_that_beats_the_white_box_ones(self):
        model, images, labels, _ = linear()
        attacks = APGD(epsilon=0.1, steps=5), Square(epsilon=0.1, queries=300)
        labels_of_attacks = [attack.label for attack in attacks]

        def masked(x):
            return model(quantised(x))

        labels = np.argmax(masked(images), -1)
        after = [survivors(masked, images, labels, a) for a in attacks]
        outcomes = np.where(after[0], np.where(after[1], 2, 1), 0)
        share = np.mean(after[0] & ~after[1])
        self.assertGreater(share, 0.1)
        warning = diagnostics.black_box_beats_white_box(
            outcomes, labels_of_attacks
        )
        self.assertIn(f"Square broke {share:.2%}", warning.found)

    @parameterized.parameters(
        (["PGD-10", "Square"], 2, True),
        (["PGD-10", "Square", "Square #2"], 2, True),
        (["Square", "PGD-10", "Square #2"], 2, True),
        (["PGD-10", "FAB", "Square"], 2, False),
        (["Square", "PGD-10"], 2, False),
        (["Square", "Square #2"], 2, False),
        (["PGD-10", "Square"], 1, False),
    )
    def test_only_what_comes_after_gradient_attacks_counts(
        self, attacks, count, warns
    ):
        outcomes = np.full(100, len(attacks))
        broken = 2 if attacks[-1] == "Square #2" else attacks.index("Square")
        if not warns and attacks[1] == "FAB":
            broken = 1
        outcomes[:count] = broken
        warning = diagnostics.black_box_beats_white_box(outcomes, attacks)
        self.assertEqual(warning is not None, warns)


class ImagesTest(TestCase):
    def test_images_outside_the_range(self):
        warning = diagnostics.images_out_of_range(0.03, 4)
        self.assertEqual(warning.name, "images_out_of_range")
        self.assertIn(
            "4 images leave `value_range` by up to 0.03", str(warning)
        )
        self.assertIsNone(diagnostics.images_out_of_range(1e-6, 4))

    @parameterized.parameters(0.0, 0.1, 0.5, 0.93, 1.0)
    def test_fewer_images_than_the_interval_needs(self, share):
        count = images_needed(share, diagnostics.HALF_WIDTH)
        low, high = wilson_interval(share, count)
        self.assertLessEqual(high - low, 0.06)
        low, high = wilson_interval(share, count - 1)
        self.assertGreater(high - low, 0.06)
        self.assertIsNone(diagnostics.few_images(share, count))
        warning = diagnostics.few_images(share, count - 1)
        self.assertRegex(
            warning.found,
            rf"^The 95% interval of {count - 1} images.*; {count} would",
        )
