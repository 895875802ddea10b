"""Checks that the names that users import stay where they are."""

import inspect

from absl.testing import parameterized

import keras_sat
from tests.test_case import TestCase

# The names of version 0.1.0, and those that were added since.
NAMES = {
    "": (
        "APGD AWP AdversarialTraining Attack AutoAttack CrossEntropy FAB FGSM "
        "FGSMRS FreeTraining GradAlign MART NFGSM Objective PGD "
        "RobustnessReport SATModel SingleStep SmoothReLU Square TRADES "
        "activation_sites activations attacks callbacks compare "
        "convergence_curve convert_activations convnext data distribution "
        "efficientnet evaluate_robustness evaluation export interruptible "
        "load_classifier load_model load_official_checkpoint "
        "load_preset load_torch_checkpoint models plots preact_resnet "
        "preprocessing presets pretrained recipes relu_with_gradient_of resnet "
        "resnext robustbench robustness_curve save_preset schedules strategy "
        "torch_weights "
        "training wide_resnet"
    ),
    "callbacks": (
        "AdversarialImages BestCheckpoint CatastrophicOverfitting PREEMPTED "
        "Resume StopOnNonFinite standard"
    ),
    "schedules": "AttackSchedule LinearWarmup cosine_decay step_decay",
    "data": (
        "Augmentation check_folder cifar10 digits idx_folder image_folder load"
    ),
    "preprocessing": (
        "CHANNELS CROPS FORMATS PADDING RESIZINGS View center_crop "
        "center_crop_and_resize center_window decode decode_center "
        "evaluation_image has_known_format resize resize_and_center_crop "
        "resize_as_cv2 resize_plain to_gray to_uint8"
    ),
    "evaluation": (
        "Finding RobustnessReport adversarial_pictures convergence_curve "
        "evaluate_robustness robustness_curve"
    ),
    "export": "other_format saved_model",
    "distribution": (
        "KINDS current_strategy has_accelerator is_chief keep_compilations "
        "on_any_worker several_workers strategy uses_xla wait_for_workers"
    ),
    "recipes": (
        "NAMED Recipe cifar10 cifar10_awp cifar10_mart cifar10_trades_ema "
        "finetune get imagenet_efficientnet "
        "imagenet_light imagenet_modern imagenet_resnet train"
    ),
    "pretrained": "PresetCard PresetTable load_preset presets save_preset",
    "attacks": (
        "APGD Attack AutoAttack FAB FGSM FGSMRS NFGSM PGD Pieces SingleStep "
        "Square StepwiseAttack compiled_network"
    ),
    "models": (
        "activation_sites convert_activations efficientnet get "
        "load_official_checkpoint residual_network resnet resnext "
        "scaled_efficientnet wide_resnet with_new_head"
    ),
    "plots": (
        "COLORS activations evaluation perturbation_grid robustness_curves "
        "training_curves"
    ),
    "activations": (
        "CELU ELU NAMES ParametricSoftplus ReLUWithGradientOf SmoothReLU "
        "celu elu gelu gelu_exact get layer mish parametric_softplus relu "
        "relu_with_gradient_of silu softplus squareplus"
    ),
}


class PublicNamesTest(TestCase):
    @parameterized.parameters(*NAMES)
    def test_names_stay(self, module):
        found = getattr(keras_sat, module) if module else keras_sat
        missing = [n for n in NAMES[module].split() if not hasattr(found, n)]
        self.assertEqual(missing, [])

    def test_the_root_has_no_other_names(self):
        names = {
            name
            for name, value in vars(keras_sat).items()
            if not name.startswith("_") and not inspect.ismodule(value)
        }
        self.assertContainsSubset(names, NAMES[""].split())

    def test_every_function_and_class_says_what_it_is(self):
        for name in NAMES[""].split():
            with self.subTest(name):
                text = getattr(keras_sat, name).__doc__
                self.assertRegex(text.split("\n")[0], r"\.$")
