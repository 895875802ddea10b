"""Tests of the recipes for CIFAR-10, against values by hand."""

import tensorflow_datasets as tfds
from absl.testing import parameterized

import keras_sat
from keras_sat import recipes
from tests.recipes.values import ValuesTest


class CIFAR10Test(ValuesTest):
    @parameterized.named_parameters(
        (
            "cifar10",
            recipes.cifar10(),
            {0: 0.1, 9999: 0.1, 10000: 0.01, 10499: 0.01, 10500: 0.001},
        ),
        (
            "cifar10_trades_ema",
            recipes.cifar10_trades_ema(),
            {0: 0.0, 500: 0.2, 1000: 0.4, 20500: 0.2, 40000: 0.0},
        ),
        (
            "cifar10_mart",
            recipes.cifar10_mart(),
            {0: 0.01, 7499: 0.01, 7500: 1e-3, 9000: 1e-4, 10000: 1e-5},
        ),
        (
            "cifar10_awp",
            recipes.cifar10_awp(),
            {0: 0.1, 9999: 0.1, 10000: 0.01, 15000: 0.001},
        ),
    )
    def test_learning_rates(self, recipe, expected):
        self.check_learning_rates(recipe, expected)

    @parameterized.named_parameters(
        ("cifar10", recipes.cifar10(), {0: (8, 2), 5000: (8, 2)}),
        ("cifar10_trades_ema", recipes.cifar10_trades_ema(), {0: (8, 2)}),
        ("cifar10_mart", recipes.cifar10_mart(), {0: (8, 2)}),
        ("cifar10_awp", recipes.cifar10_awp(), {0: (8, 2)}),
    )
    def test_radius_and_steps_in_gray_levels(self, recipe, expected):
        self.check_radius_and_steps(recipe, expected)

    @parameterized.named_parameters(
        ("cifar10", recipes.cifar10(), 10, 2 / 255, 0, 0, 0),
        (
            "cifar10_trades_ema",
            recipes.cifar10_trades_ema(),
            *(10, 2 / 255, 0, 0.995, 0),
        ),
        ("cifar10_mart", recipes.cifar10_mart(), 10, 2 / 255, 0, 0, 0),
        ("cifar10_awp", recipes.cifar10_awp(), 10, 2 / 255, 0, 0, 0),
    )
    def test_what_else_reaches_the_model(
        self, recipe, steps, eval_step_size, smoothing, ema, clean_starts
    ):
        self.check_the_rest(
            recipe, steps, eval_step_size, smoothing, ema, clean_starts
        )

    def test_validation_sees_whole_images(self):
        options = recipes.cifar10().data_options
        with tfds.testing.mock_data(num_examples=4):
            dataset = keras_sat.data.load("cifar10", "test", **options)
            originals = tfds.load("cifar10", split="test").as_numpy_iterator()
            images, _ = next(iter(dataset))
            self.assertAllEqual(images, [x["image"] for x in originals])

    def test_objectives_are_those_of_the_sources(self):
        mart = keras_sat.MART(beta=5.0)
        plain = keras_sat.AdversarialTraining()
        for recipe, expected in (
            (recipes.cifar10_mart(), mart),
            (
                recipes.cifar10_mart(awp_gamma=0.005),
                keras_sat.AWP(objective=mart, gamma=0.005),
            ),
            (recipes.cifar10_awp(), keras_sat.AWP(objective=plain, gamma=0.01)),
            (
                recipes.cifar10_awp(trades_beta=6.0),
                keras_sat.AWP(objective=keras_sat.TRADES(), gamma=0.01),
            ),
        ):
            self.assertEqual(self.compiled(recipe).objective, expected)

    def test_the_network_of_awp_is_that_of_its_source(self):
        model = recipes.cifar10_awp().model().model
        self.assertEqual(model.name, "preact_resnet18")
        self.assertEqual(
            model.count_params()
            - sum(v.shape[0] for v in model.non_trainable_variables),
            11_172_170,
        )

    def test_trades_is_the_objective_where_it_should_be(self):
        model = self.compiled(recipes.cifar10_trades_ema())
        self.assertEqual(model.objective, keras_sat.TRADES(beta=5.0))
        model = self.compiled(recipes.cifar10())
        self.assertEqual(model.objective, keras_sat.AdversarialTraining())

    def test_the_attack_statistics_are_those_of_the_source(self):
        model = self.compiled(recipes.cifar10_trades_ema())
        self.assertEqual(model.attack_statistics, "batch")
        self.assertEqual(recipes.cifar10().attack_statistics, "moving")
        with self.assertRaisesRegex(
            ValueError, "`attack_statistics` must be one of .*Received: .*'mean"
        ):
            recipes.cifar10(attack_statistics="mean")
