"""Tests of the recipes for ImageNet, against values by hand."""

import math

from absl.testing import parameterized

from keras_sat import recipes
from tests.recipes.values import ValuesTest

HALF_COSINE = 0.5 * (1 + math.cos(math.pi / 4))


class ImagenetTest(ValuesTest):
    @parameterized.named_parameters(
        # 0.1 * 1024 / 256 = 0.4, from 0.1 in 500 steps; epochs 30, 60, 90.
        (
            "imagenet_resnet",
            recipes.imagenet_resnet(),
            {
                0: 0.1,
                250: 0.25,
                500: 0.4,
                2999: 0.4,
                3000: 0.04,
                5999: 0.04,
                6000: 0.004,
                9000: 0.0004,
                9999: 0.0004,
            },
        ),
        # Fewer images than 256: no warm-up from above.
        (
            "small_batches",
            recipes.imagenet_resnet(batch_size=64),
            {0: 0.025, 250: 0.025, 3000: 0.0025},
        ),
        (
            "imagenet_efficientnet",
            recipes.imagenet_efficientnet("l1", enhanced=True),
            {0: 0.1, 250: 0.25, 500: 0.4, 3000: 0.04, 9999: 0.0004},
        ),
        (
            "imagenet_light",
            recipes.imagenet_light(),
            {0: 0.4, 2999: 0.4, 3000: 0.04, 6000: 0.004, 9000: 0.0004},
        ),
        # A quarter of the 9000 steps after the warm-up, half of them, all.
        (
            "imagenet_modern",
            recipes.imagenet_modern(),
            {
                0: 0.0,
                250: 0.1,
                500: 0.2,
                2750: 0.2 * HALF_COSINE,
                5000: 0.1,
                9500: 0.0,
            },
        ),
        (
            "imagenet_modern_adamw",
            recipes.imagenet_modern("adamw", batch_size=512),
            {0: 0.0, 250: 1.25e-4, 500: 2.5e-4, 15250: 1.25e-4, 30000: 0.0},
        ),
        # EfficientNet's own schedule: 0.97 every 2.4 epochs, counted from the
        # first step; at step 500, 2 times 240 steps have passed.
        (
            "exponential",
            recipes.imagenet_efficientnet(
                decay="exponential",
                decay_epochs=(2.4,),
                decay_factor=0.97,
                learning_rate=0.016,
                warmup_start=0.0,
            ),
            {
                0: 0.0,
                250: 0.032,
                500: 0.064 * 0.97**2,
                719: 0.064 * 0.97**2,
                720: 0.064 * 0.97**3,
            },
        ),
    )
    def test_learning_rates(self, recipe, expected):
        self.check_learning_rates(recipe, expected)

    @parameterized.named_parameters(
        ("imagenet_resnet", recipes.imagenet_resnet(), {0: (4, 4)}),
        ("imagenet_efficientnet", recipes.imagenet_efficientnet(), {0: (4, 4)}),
        (
            "imagenet_light",
            recipes.imagenet_light(),
            {0: (0, 0), 250: (1, 1.5), 500: (2, 3), 1000: (4, 6), 9999: (4, 6)},
        ),
        (
            "imagenet_modern",
            recipes.imagenet_modern(),
            {0: (4, 0), 250: (4, 4 / 3), 500: (4, 8 / 3), 9499: (4, 8 / 3)},
        ),
    )
    def test_radius_and_steps_in_gray_levels(self, recipe, expected):
        self.check_radius_and_steps(recipe, expected)

    @parameterized.named_parameters(
        ("imagenet_resnet", recipes.imagenet_resnet(), 1, 1 / 255, 0.1, 0, 0.2),
        (
            "imagenet_l1_enhanced",
            recipes.imagenet_efficientnet("l1", enhanced=True),
            *(1, 1 / 255, 0.1, 0.9999, 0.2),
        ),
        (
            "imagenet_b0",
            recipes.imagenet_efficientnet(),
            1,
            1 / 255,
            0.1,
            0,
            0.2,
        ),
        ("imagenet_light", recipes.imagenet_light(), 1, 1 / 255, 0.1, 0, 0),
        (
            "imagenet_modern",
            recipes.imagenet_modern(),
            *(3, 1 / 255, 0.1, 0.9998, 0),
        ),
    )
    def test_what_else_reaches_the_model(
        self, recipe, steps, eval_step_size, smoothing, ema, clean_starts
    ):
        self.check_the_rest(
            recipe, steps, eval_step_size, smoothing, ema, clean_starts
        )
