"""Recipes for CIFAR-10, L-infinity, epsilon 8 / 255."""

from keras_sat.recipes.recipe import Recipe

COMMON = {
    "epsilon": 8 / 255,
    "step_size": 2 / 255,
    "steps": 10,
    "eval_step_size": 2 / 255,
    "eval_steps": 10,
    "augmentation": {"padding": 4},
}


def cifar10(**changes):
    """Adversarial training of a ResNet-18, after "Bag of Tricks for AT".

    From the code and README of Pang et al.: 110 epochs of 128 images, a rate
    of 0.1, divided by 10 at epochs 100 and 105; 10 steps of 2 / 255; a weight
    decay of 5e-4, which they call critical, as is early stopping: keep the
    weights of the epoch with the best `val_robust_accuracy`. Batch
    normalization in inference mode in the attack and smooth activations are
    useful, and so is label smoothing up to 0.2 (0 here). Warm-up, batch size
    and optimizer make no difference.

    Not known, and chosen here: plain momentum 0.9, which kernels decay (all of
    them, and nothing else), 10 steps in validation, random windows of images
    with a border of 4 black pixels.

    Args:
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Reference:
    - [Pang et al., 2021](https://arxiv.org/abs/2010.00467)
    """
    fields = {
        "network": "resnet18",
        "network_options": {"stem": "small", "num_classes": 10},
        "image_size": 32,
        "epochs": 110,
        "batch_size": 128,
        "nesterov": False,
        "learning_rate": 0.1,
        "reference_batch_size": 128,
        "decay": "step",
        "decay_epochs": (100, 105),
        "weight_decay": 5e-4,
        **COMMON,
    }
    return Recipe(**fields | changes)


def cifar10_trades_ema(**changes):
    """TRADES with averaged weights, after Gowal et al. and Rebuffi et al.

    From their code: a WideResNet with Swish, a penalty like that of TRADES, 10
    steps by the statistics of the batch, 400 epochs of 1024 images, a rate of
    0.4 that falls along a cosine after 10 epochs of warm-up, a weight decay of
    5e-4, averages of momentum 0.995. From Wang et al., who go on from them: a
    weight of 5 of the penalty. They have generated images besides those of
    CIFAR-10; there are none here.

    Not known, and chosen here: WRN-28-10, Nesterov momentum 0.9, a step of
    2 / 255 in place of their Adam with 0.1, which kernels decay (all of them,
    and nothing else), random windows of images with a border of 4 black pixels.

    Args:
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Reference:
    - [Gowal et al., 2020](https://arxiv.org/abs/2010.03593)
    - [Rebuffi et al., 2021](https://arxiv.org/abs/2103.01946)
    - [Wang et al., 2023](https://arxiv.org/abs/2302.04638)
    """
    fields = {
        "network": "wide_resnet28_10",
        "network_options": {"num_classes": 10},
        "image_size": 32,
        "epochs": 400,
        "batch_size": 1024,
        "learning_rate": 0.4,
        "reference_batch_size": 1024,
        "decay": "cosine",
        "warmup_epochs": 10.0,
        "weight_decay": 5e-4,
        "ema": 0.995,
        "trades_beta": 5.0,
        "attack_statistics": "batch",
        **COMMON,
    }
    return Recipe(**fields | changes)
