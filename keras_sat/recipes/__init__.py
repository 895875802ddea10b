"""Published recipes of adversarial training.

Each function returns a `Recipe`. Its docstring gives the source of each value,
and says which values are not known and were chosen here.
"""

from keras_sat import checks
from keras_sat.recipes.cifar import cifar10
from keras_sat.recipes.cifar import cifar10_awp
from keras_sat.recipes.cifar import cifar10_mart
from keras_sat.recipes.cifar import cifar10_trades_ema
from keras_sat.recipes.finetuning import finetune
from keras_sat.recipes.imagenet import imagenet_efficientnet
from keras_sat.recipes.imagenet import imagenet_light
from keras_sat.recipes.imagenet import imagenet_modern
from keras_sat.recipes.imagenet import imagenet_resnet
from keras_sat.recipes.recipe import Recipe
from keras_sat.recipes.training_run import train

# From names to the functions that return recipes.
NAMED = {
    recipe.__name__: recipe
    for recipe in (
        cifar10,
        cifar10_awp,
        cifar10_mart,
        cifar10_trades_ema,
        imagenet_efficientnet,
        imagenet_light,
        imagenet_modern,
        imagenet_resnet,
    )
}


def get(name, *args, **changes):
    """Returns the recipe of a name.

    Args:
        name: str. For example `"imagenet_resnet"`. `finetune`, which needs a
            network, is not among them.
        *args: positional arguments of the recipe, such as the variant of
            EfficientNet.
        **changes: new values for fields of `Recipe`.

    Returns:
        `Recipe`.

    Raises:
        ValueError: If there is no recipe of this name.

    Example:

    ```python
    recipe = keras_sat.recipes.get("cifar10", epochs=30)
    ```
    """
    return checks.lookup("name", name, NAMED)(*args, **changes)


__all__ = ["NAMED", "Recipe", "finetune", "get", "train", *NAMED]
