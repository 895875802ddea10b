"""Published recipes: what is known of them, and where from.

Each function gives a `Recipe`; its docstring says what each value goes back to,
and what is not known and was chosen here.
"""

from keras_sat import checks
from keras_sat.recipes.cifar import cifar10
from keras_sat.recipes.cifar import cifar10_trades_ema
from keras_sat.recipes.imagenet import imagenet_efficientnet
from keras_sat.recipes.imagenet import imagenet_light
from keras_sat.recipes.imagenet import imagenet_modern
from keras_sat.recipes.imagenet import imagenet_resnet
from keras_sat.recipes.recipe import Recipe
from keras_sat.recipes.training_run import train

NAMED = {
    recipe.__name__: recipe
    for recipe in (
        cifar10,
        cifar10_trades_ema,
        imagenet_efficientnet,
        imagenet_light,
        imagenet_modern,
        imagenet_resnet,
    )
}


def get(name, *args, **changes):
    """The recipe of this name.

    Args:
        name: str. For example `"imagenet_resnet"`.
        *args: its positional arguments, such as the variant of EfficientNet.
        **changes: fields of `Recipe` with other values.

    Returns:
        `Recipe`.

    Raises:
        ValueError: If there is none.
    """
    return checks.lookup("name", name, NAMED)(*args, **changes)


__all__ = ["NAMED", "Recipe", "get", "train", *NAMED]
