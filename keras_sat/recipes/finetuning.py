"""Recipes that begin with the weights of a network that is trained already."""

import dataclasses
import functools
import os

import keras

from keras_sat import checks
from keras_sat import loading
from keras_sat import schedules
from keras_sat.models import new_head
from keras_sat.recipes.recipe import Recipe

# The attack of `imagenet_modern`, and what both starts share.
SHARED_FIELDS = {
    "batch_size": 128,
    "reference_batch_size": 128,
    "decay": "cosine",
    "weight_decay": 5e-4,
    "step_size": 8 / 3 / 255,
    "steps": 3,
}
STARTS = {
    "clean": {
        "epochs": 10,
        "learning_rate": 0.01,
        "warmup_epochs": 1.0,
        "epsilon_warmup_epochs": 5.0,
    },
    "robust": {"epochs": 5, "learning_rate": 0.001},
}


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuning(Recipe):
    """A `Recipe` that begins with a pretrained network; see `finetune`.

    Args:
        network: path of a `.keras` file, `keras.Model`, or `SATModel`. Only
            with a path can the recipe be written as JSON.
        network_options: dict. The arguments `normalization`, `freeze` and
            `momentum` of `models.with_new_head`. Defaults to none.
        head_epochs: int >= 0. Epochs in which `train` trains the head alone,
            before all others: the first of `stages`. Without a warm-up of
            epsilon it is attacked as later; with one, it sees clean images,
            with which that begins. Defaults to `0`.
        **fields: see `Recipe`. `activation` is for the places of the network
            that are not smooth.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here, or if
            `network` cannot be trained like this; see `models.with_new_head`.
    """

    head_epochs: int = 0

    def __post_init__(self):
        if isinstance(self.network, os.PathLike):
            object.__setattr__(self, "network", os.fspath(self.network))
        checks.integer("head_epochs", self.head_epochs, least=0)
        # Read once: the file may be large.
        network = pretrained(self.network)
        object.__setattr__(self, "_pretrained", network)
        shape = new_head.pretrained_body(network).inputs[0].shape
        object.__setattr__(self, "_shape", shape[1:])
        super().__post_init__()
        size = self.image_size
        options = {"normalization": "auto", "freeze": "nothing"}
        options |= self.network_options
        new_head.check_options(
            self._shape,
            (size, size, self._shape[-1]),
            options["normalization"],
            options["freeze"],
        )

    @property
    def image_shape(self):
        """See `Recipe.image_shape`."""
        return self.image_size, self.image_size, self._shape[-1]

    @property
    def stages(self):
        """See `Recipe.stages`."""
        if not self.head_epochs:
            return super().stages
        fields = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        changes = {
            "network_options": self.network_options | {"freeze": "backbone"},
            "epochs": self.head_epochs,
            "head_epochs": 0,
            "warmup_epochs": 0.0,
        }
        if self.epsilon_warmup_epochs:
            changes["steps"] = 1
        return {"head": HeadAlone(**fields | changes)} | super().stages

    def get_config(self):
        """Returns the fields, in a form that Keras can save.

        Raises:
            TypeError: If the network is no path: its weights would be lost.
        """
        if not isinstance(self.network, str):
            checks.refuse(
                "network",
                "be the path of a `.keras` file, for a recipe to be saved",
                checks.Described(f"a {type(self.network).__name__}"),
                "Give network.save(path), and the path.",
                TypeError,
            )
        return super().get_config()

    def _builder(self):
        """Returns the function that builds the classifier."""
        return functools.partial(new_head.with_new_head, self._pretrained)


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadAlone(FineTuning):
    """The first stage of a `FineTuning`: all weights but the head are kept."""

    def attack_schedule(self, steps_per_epoch):
        """See `Recipe.attack_schedule`."""
        del steps_per_epoch
        if not self.epsilon_warmup_epochs:
            return None
        nothing = schedules.LinearWarmup(0.0, steps=0)
        return schedules.AttackSchedule(epsilon=nothing)


def pretrained(network):
    """Returns a pretrained network, which is read if it is a file.

    Args:
        network: path of a `.keras` file, `keras.Model` or `SATModel`.

    Raises:
        TypeError: If it is something else.
        ValueError: If the file holds no network.
    """
    if isinstance(network, str | os.PathLike):
        return loading.load_network(network)
    if not isinstance(network, keras.Model):
        checks.refuse(
            "network",
            "be a keras.Model, or the path of a `.keras` file",
            network,
            error=TypeError,
        )
    return network


def finetune(
    network,
    start="clean",
    *,
    normalization="auto",
    freeze="nothing",
    **changes,
):
    """Returns a recipe that makes a robust classifier of a pretrained network.

    `recipe.model(num_classes=...)` has the weights of `network`, smooth
    activations, a new head, and takes images in `[0, 1]`;
    `recipes.train` does the rest. See `models.with_new_head`.

    From the code of Hendrycks et al., who fine-tune a robust network of
    ImageNet at 32x32 pixels to CIFAR: 5 epochs with batches of 128 images, SGD
    with Nesterov momentum of 0.9, a learning rate of 0.001 that falls along a
    cosine, a weight decay of 5e-4. This is `start="robust"`.

    Not known, and chosen here, for `start="clean"`: 10 epochs, a learning rate
    of 0.01, and its warm-up of an epoch; a radius that grows in the first 5
    epochs. Jeddi et al. fine-tune clean networks with a learning rate that
    starts slowly and decays fast, at an eighth to a tenth of the cost of
    training; Ngnawé et al. find that a radius which grows from 0 keeps what a
    clean network knows. The numbers are not theirs.

    Chosen here for both: the attack, 3 steps of 8 / 3 / 255 in a ball of
    4 / 255, as in `imagenet_modern`; no frozen normalization; no epochs for the
    head alone. Hendrycks et al. have 10 steps of 2 / 255 in 8 / 255.

    Args:
        network: path of a `.keras` file, or built functional or sequential
            `keras.Model`: of `keras.applications`, of KerasHub, of this
            package, as `robustbench` and `load_torch_checkpoint` fill it, or
            your own; or a `SATModel`.
        start: str. `"robust"` for a network that was trained adversarially,
            `"clean"` for any other. Defaults to `"clean"`.
        normalization: see `models.with_new_head`. Defaults to `"auto"`.
        freeze: str. `"nothing"`, `"normalization"` or `"backbone"`; see
            `models.with_new_head`. Defaults to `"nothing"`.
        **changes: new values for fields of `Recipe`, and `head_epochs`.
            `image_size` is that of `network`, or has to be given if that takes
            any size.

    Returns:
        `Recipe`.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If `start` is unknown, if a file holds no network, or if
            this network cannot be trained like this.

    Example:

    ```python
    backbone = keras.applications.EfficientNetV2B0(
        include_top=False, input_shape=(128, 128, 3)
    )
    recipe = keras_sat.recipes.finetune(backbone, head_epochs=2)
    options = recipe.data_options
    train_ds, test_ds = keras_sat.data.image_folder(
        "flowers", training=True, validation_split=0.2, subset="both", **options
    )
    model, report = keras_sat.recipes.train(recipe, train_ds, test_ds, "run")
    ```

    Reference:
    - [Hendrycks et al., 2019](https://arxiv.org/abs/1901.09960)
    - [Their code](https://github.com/hendrycks/pre-training)
    - [Jeddi et al., 2020](https://arxiv.org/abs/2012.13628)
    - [Ngnawé et al., 2025](https://arxiv.org/abs/2509.23325)
    """
    own = checks.lookup("start", start, STARTS)
    size = changes.get("image_size") or _image_size(network)
    fields = {
        "network": network,
        "network_options": {"normalization": normalization, "freeze": freeze},
        "image_size": size,
        # As much of a margin as 32 pixels are of 224.
        "crop_padding": size // 7,
    }
    return FineTuning(**SHARED_FIELDS | own | fields | changes)


def _image_size(network):
    """Returns height and width of the images that a network takes."""
    body = new_head.pretrained_body(pretrained(network))
    height, width = body.inputs[0].shape[1:3]
    if height is None or height != width:
        checks.refuse(
            "image_size",
            f"be given for a network that takes {height} x {width} pixels",
            None,
            "Recipes are for square images.",
        )
    return height
