"""Recipes for CIFAR-10, L-infinity, epsilon 8 / 255."""

from keras_sat.recipes.recipe import Recipe

# Fields that all recipes share: the attacks, and the random shifts.
SHARED_FIELDS = {
    "epsilon": 8 / 255,
    "step_size": 2 / 255,
    "steps": 10,
    "eval_step_size": 2 / 255,
    "eval_steps": 10,
    # Validation sees the whole of an image. The margin of ImageNet would leave
    # 16x16 pixels of it.
    "crop_padding": 0,
    "augmentation": {"padding": 4},
}


def cifar10(**changes):
    """Returns the recipe of "Bag of Tricks for AT" for a ResNet-18.

    From the code and README of Pang et al.: 110 epochs with batches of 128
    images; a learning rate of 0.1, divided by 10 at epochs 100 and 105; 10
    steps of 2 / 255; a weight decay of 5e-4. They call the weight decay
    critical, and early stopping as well: keep the weights of the epoch with the
    best `val_robust_accuracy`. They find useful: batch normalization in
    inference mode in the attack, smooth activations, and label smoothing up to
    0.2 (0 here). Warm-up, batch size and optimizer make no difference.

    Not known, and chosen here: plain momentum of 0.9; weight decay of all
    kernels and of nothing else; 10 steps in validation; random windows of
    images with a border of 4 black pixels.

    Args:
        **changes: new values for fields of `Recipe`.

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
        **SHARED_FIELDS,
    }
    return Recipe(**fields | changes)


def cifar10_trades_ema(**changes):
    """Returns the recipe of Gowal et al. and Rebuffi et al. for a WideResNet.

    It is TRADES with moving averages of the weights. From their code: a
    WideResNet with Swish; the penalty of TRADES; 10 steps of the attack, with
    the statistics of the batch; 400 epochs with batches of 1024 images; a
    learning rate of 0.4 that falls along a cosine after 10 epochs of warm-up; a
    weight decay of 5e-4; averages with momentum 0.995. From Wang et al., who
    continue their work: a weight of 5 for the penalty. All of them train on
    generated images in addition to those of CIFAR-10, which is not done here.

    Not known, and chosen here: WRN-28-10; Nesterov momentum of 0.9; steps of
    2 / 255 instead of their Adam with 0.1; weight decay of all kernels and of
    nothing else; random windows of images with a border of 4 black pixels.

    Args:
        **changes: new values for fields of `Recipe`.

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
        **SHARED_FIELDS,
    }
    return Recipe(**fields | changes)


def cifar10_mart(**changes):
    """Returns the recipe of Wang et al. for a ResNet-18, with MART.

    From their code for that network: a weight of 5 for the penalty; 120 epochs
    with batches of 128 images; SGD with plain momentum of 0.9; a learning rate
    of 0.01, divided by 10 at epochs 75, 90 and 100; a weight decay of 3.5e-3;
    10 steps of the attack, with batch normalization in inference mode. Radius
    and steps are those of their paper; the code has 0.031 and 0.007.

    Not known, and chosen here: a random start in the ball, as in the paper,
    where the code adds noise of 0.001; weight decay of all kernels and of
    nothing else; Swish, where they have ReLU; 10 steps in validation.

    Args:
        **changes: new values for fields of `Recipe`.

    Returns:
        `Recipe`.

    Reference:
    - [Wang et al., 2020](https://openreview.net/forum?id=rklOg6EFwS)
    - [The authors' code](https://github.com/YisenWang/MART)
    """
    fields = {
        "epochs": 120,
        "learning_rate": 0.01,
        "decay_epochs": (75, 90, 100),
        "weight_decay": 3.5e-3,
        "mart_beta": 5.0,
    }
    return cifar10(**fields | changes)


def cifar10_awp(**changes):
    """Returns the recipe of Wu et al. for a PreAct ResNet-18, with AWP.

    It is adversarial training at perturbed weights. From their code, which
    builds on that of Rice et al.: kernels move by 0.01 of their norm; 200
    epochs with batches of 128 images; SGD with plain momentum of 0.9; a
    learning rate of 0.1, divided by 10 at epochs 100 and 150; a weight decay of
    5e-4; 10 steps of 2 / 255.

    With TRADES (`trades_beta=6.0`), they have 0.005 and begin to move the
    weights after 10 epochs, which is not done here.

    Not known, and chosen here: batch normalization in inference mode in the
    attack; weight decay of all kernels and of nothing else; Swish, where they
    have ReLU; 10 steps in validation.

    Args:
        **changes: new values for fields of `Recipe`.

    Returns:
        `Recipe`.

    Reference:
    - [Wu et al., 2020](https://arxiv.org/abs/2004.05884)
    - [Rice et al., 2020](https://arxiv.org/abs/2002.11569)
    - [The authors' code](https://github.com/csdongxian/AWP)
    """
    fields = {
        "network": "preact_resnet18",
        "network_options": {"num_classes": 10},
        "epochs": 200,
        "decay_epochs": (100, 150),
        "awp_gamma": 0.01,
    }
    return cifar10(**fields | changes)
