"""Recipes for ImageNet, L-infinity, epsilon 4 / 255."""

from keras_sat import checks
from keras_sat.models.efficientnet import VARIANTS
from keras_sat.recipes.recipe import Recipe

# Chosen here, for the recipes whose sources do not tell their batch size.
BATCH_SIZE = 1024


def imagenet_resnet(**changes):
    """Returns the recipe of Xie et al. for a ResNet-50.

    This is Smooth Adversarial Training. From the authors' code: SGD with
    Nesterov momentum of 0.9; 100 epochs; a learning rate of 0.1 for each 256
    images, divided by 10 at epochs 30, 60 and 90, after 5 epochs in which it
    rises from 0.1; a weight decay of 1e-4, of kernels only; label smoothing of
    0.1 in the loss and none in the attack; one step of the attack from a random
    start, or, for one batch in five, from the clean images
    (`clean_start_probability=0.2`); batch normalization in inference mode in
    the attack. The step is at least as long as the radius: 4 / 255. From the
    README: a radius of 4 / 255, and evaluation with steps of 1 / 255.

    The sources differ: the README says that the TPU code was used for the
    paper, and there, label smoothing is 0 by default, and there is no colour
    jitter. The released data loader has it (`augmentation={"jitter": 0.4,
    "lighting": 0.1}`). Not known are the batch size (1024 here, the default of
    the TPU code; 4096 in the project that it comes from), and whether the paper
    used the clean starts. Validation with 10 steps was chosen here.

    Args:
        **changes: new values for fields of `Recipe`.

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
    """Returns the recipe of Xie et al. for EfficientNet-B0 to B7 and L1.

    From the paper: B0 was trained from scratch, for 100 epochs, with one step
    of the attack and a radius of 4 / 255. From the authors' code: sizes,
    dropout, Swish at every non-linearity, batch normalization with momentum 0.9
    and epsilon 1e-5. From their README: L1-Enhanced is evaluated with averages
    of all weights, of momentum 0.9999; all other models without averages.

    Not known: optimizer, batch size, learning rate, weight decay and label
    smoothing, and which dropout and stochastic depth were used in training.
    Here, they are those of `imagenet_resnet` and of the builder; the defaults
    of the EfficientNet code (RMSProp, 350 epochs) do not show what the paper
    did. It is also not known if L1-Enhanced differs in more than the averages.

    Args:
        variant: str. `"b0"` to `"b8"`, `"l1"` or `"l2"`; the paper has no b8
            and l2. Defaults to `"b0"`.
        enhanced: bool. Whether weights are averaged like for L1-Enhanced.
            Defaults to `False`.
        **changes: new values for fields of `Recipe`.

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
    """Returns the light recipe of Debenedetti et al. for a ResNet-50.

    From their code: GELU; SGD; a weight decay of 1e-4; a learning rate that is
    divided by 10 every 30 epochs; one step of 1.5 times the radius, which rises
    linearly in the first 10 epochs; label smoothing of 0.1; crop, flip and
    colour jitter only. They train transformers for 100 epochs with AdamW:
    `optimizer="adamw", learning_rate=5e-4, weight_decay=0.5,
    warmup_epochs=10`.

    Not known, and chosen here: for the ResNet-50, the number of epochs (100,
    like for their transformers), batch size and learning rate (0.1 for each 256
    images), and the strength of the jitter (0.4).

    Args:
        **changes: new values for fields of `Recipe`.

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
    """Returns the recipes of ARES 2.0, by Liu et al.

    From their code: MixUp and CutMix; 3 steps of 8 / 3 / 255 against the mixed
    labels, which grow linearly in the first 5 epochs; the iterate with the
    highest loss is kept. With SGD, for a ResNet-50: a learning rate of 0.2, a
    weight decay of 1e-4, 95 epochs, averages of the weights. With AdamW, for
    transformers and ConvNeXt: a learning rate of 5e-4, a weight decay of 0.05,
    300 epochs along a cosine, label smoothing of 0.1, averages with momentum
    0.9998, RandAugment and random erasing.

    Not known, and chosen here: the batch size, and which one the learning rates
    are for (1024); the decay of the rate with SGD (a cosine), the momentum of
    its averages (0.9998) and its label smoothing (0.1); the warm-up of the rate
    (5 epochs). MixUp 0.8, CutMix 1, erasing 0.25 and the strength of
    RandAugment are those of Singh et al. The network is a ResNet-50 here, with
    both optimizers.

    Args:
        optimizer: str. `"sgd"` or `"adamw"`. Defaults to `"sgd"`.
        **changes: new values for fields of `Recipe`.

    Returns:
        `Recipe`.

    Raises:
        ValueError: If `optimizer` is unknown.

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
