"""Recipes for ImageNet, L-infinity, epsilon 4 / 255."""

from keras_sat import checks
from keras_sat.models.efficientnet import VARIANTS
from keras_sat.recipes.recipe import Recipe

# Chosen here, for all recipes whose sources do not tell their batch size.
BATCH_SIZE = 1024


def imagenet_resnet(**changes):
    """Smooth adversarial training of a ResNet-50.

    From the authors' code: SGD with Nesterov momentum 0.9; 100 epochs; a rate
    of 0.1 for each 256 images, divided by 10 at epochs 30, 60 and 90, after 5
    epochs in which it rises from 0.1; a weight decay of 1e-4 of kernels only;
    label smoothing 0.1 in the loss and none in the attack; one step from a
    random start, or, for one batch in five, from the clean images
    (`clean_start_probability=0.2`); batch normalization in inference mode in
    the attack. Its step is at least the radius: 4 / 255. From its README: a
    radius of 4 / 255, and evaluation with steps of 1 / 255.

    Where the sources differ: label smoothing is 0 by default in the TPU code
    that the README says was really used, and that code has no colour jitter,
    which the released loader has (`augmentation={"jitter": 0.4, "lighting":
    0.1}`). Not known: the batch size (1024 here, the default of the TPU code;
    4096 in the parent project), and whether the clean starts belong to the runs
    of the paper. Validation with 10 steps was chosen here.

    Args:
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    - [The authors' code](https://github.com/cihangxie/SmoothAdversarialTraining)
    """
    fields = {
        "network": "resnet50",
        "image_size": 224,
        "epochs": 100,
        "batch_size": BATCH_SIZE,
        "learning_rate": 0.1,
        "decay": "step",
        "decay_epochs": (30, 60, 90),
        "warmup_epochs": 5.0,
        "warmup_start": 0.1,
        "weight_decay": 1e-4,
        "label_smoothing": 0.1,
        "clean_start_probability": 0.2,
    }
    return Recipe(**fields | changes)


def imagenet_efficientnet(variant="b0", enhanced=False, **changes):
    """Smooth adversarial training of EfficientNet-B0 to B7 and L1.

    Reported: B0 was trained from scratch, for 100 epochs, with one step
    against the radius of 4 / 255. From the authors' code: sizes, dropout,
    Swish throughout, batch normalization with momentum 0.9 and epsilon 1e-5.
    From their README: L1-Enhanced is evaluated with averages of momentum
    0.9999 of all weights, every other model without.

    Not known: optimizer, batch size, learning rate, weight decay and label
    smoothing, and which dropout and stochastic depth were used in training.
    They are those of `imagenet_resnet` and of the builder here; the defaults of
    the EfficientNet code (RMSProp, 350 epochs) are no evidence of what the
    paper did. Nor is known whether anything but the averages makes L1-Enhanced.

    Args:
        variant: str. `"b0"` to `"b8"`, `"l1"` or `"l2"`; the paper has no b8
            and l2. Defaults to `"b0"`.
        enhanced: bool. Whether weights are averaged, as for L1-Enhanced.
            Defaults to `False`.
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Raises:
        ValueError: If `variant` is unknown.

    Reference:
    - [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
    - [The authors' code](https://github.com/cihangxie/SmoothAdversarialTraining)
    """
    fields = {
        "network": f"efficientnet_{variant}",
        "image_size": checks.lookup("variant", variant, VARIANTS)[2],
        "ema": 0.9999 if enhanced else 0.0,
    }
    return imagenet_resnet(**fields | changes)


def imagenet_light(**changes):
    """The light recipe of Debenedetti et al., as they used it for a ResNet-50.

    From their code: GELU, SGD, a weight decay of 1e-4, the rate divided by 10
    every 30 epochs; one step of 1.5 times the radius, which rises linearly in
    the first 10 epochs; label smoothing 0.1; crop, flip and colour jitter and
    no more. Their transformers are trained for 100 epochs with AdamW instead:
    `optimizer="adamw", learning_rate=5e-4, weight_decay=0.5,
    warmup_epochs=10`.

    Not known, and chosen here: for the ResNet-50, the number of epochs (100,
    that of their transformers), batch size and learning rate (0.1 for each 256
    images), the strength of the jitter (0.4).

    Args:
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Reference:
    - [Debenedetti et al., 2022](https://arxiv.org/abs/2209.07399)
    """
    fields = {
        "activation": "gelu",
        "warmup_epochs": 0.0,
        "warmup_start": 0.0,
        "step_size": 1.5 * 4 / 255,
        "epsilon_warmup_epochs": 10.0,
        "clean_start_probability": 0.0,
        "augmentation": {"jitter": 0.4},
    }
    return imagenet_resnet(**fields | changes)


def imagenet_modern(optimizer="sgd", **changes):
    """The recipes of ARES 2.0 (Liu et al.): 3 steps, mixed images, averages.

    From their code: 3 steps of 8 / 3 / 255, which rise linearly in the first 5
    epochs, against the mixed labels, of which the iterate with the highest loss
    is kept; MixUp and CutMix. With SGD, for a ResNet-50: a rate of 0.2, a
    weight decay of 1e-4, 95 epochs, averages. With AdamW, for transformers and
    ConvNeXt: a rate of 5e-4, a weight decay of 0.05, 300 epochs along a cosine,
    label smoothing 0.1, averages of momentum 0.9998, RandAugment and random
    erasing.

    Not known, and chosen here: the batch size, and which one the rates are for
    (1024); the decay of SGD (a cosine), the momentum of its averages (0.9998)
    and its label smoothing (0.1); the warm-up of the rate (5 epochs). MixUp
    0.8, CutMix 1, erasing 0.25 and the strength of RandAugment are those of
    Singh et al. The network here is a ResNet-50 in either case.

    Args:
        optimizer: str. `"sgd"` or `"adamw"`. Defaults to `"sgd"`.
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Raises:
        ValueError: If `optimizer` is another one.

    Reference:
    - [Liu et al., 2023](https://arxiv.org/abs/2302.14301)
    - [Singh et al., 2023](https://arxiv.org/abs/2303.01870)
    """
    mixing = {"mixup": 0.8, "cutmix": 1.0}
    strong = mixing | {"randaugment": 2, "magnitude": 0.9, "erasing": 0.25}
    variants = {
        "sgd": {
            "epochs": 95,
            "learning_rate": 0.2,
            "weight_decay": 1e-4,
            "augmentation": mixing,
        },
        "adamw": {
            "epochs": 300,
            "learning_rate": 5e-4,
            "weight_decay": 0.05,
            "augmentation": strong,
        },
    }
    fields = {
        "network": "resnet50",
        "image_size": 224,
        "batch_size": BATCH_SIZE,
        "reference_batch_size": BATCH_SIZE,
        "optimizer": optimizer,
        "decay": "cosine",
        "warmup_epochs": 5.0,
        "label_smoothing": 0.1,
        "ema": 0.9998,
        "step_size": 8 / 3 / 255,
        "steps": 3,
        "step_size_warmup_epochs": 5.0,
        "best_iterate": True,
        **checks.lookup("optimizer", optimizer, variants),
    }
    return Recipe(**fields | changes)
