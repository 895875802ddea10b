"""What a study compares: arms that differ in one thing each."""

import dataclasses

import keras

import keras_sat

# Not smooth, like ReLU, but with a gradient on both sides.
LEAKY_RELU = keras.layers.LeakyReLU(0.1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train, next to the common setting.

    Args:
        activation: see `keras_sat.activations.get`. That of the network.
        attack_activation: the activation of the network that the attack of
            training differentiates. Defaults to `activation`.
        evaluated_activation: that of the network that is evaluated. It has to
            be the same function, with its true gradient. Defaults to
            `activation`.
        steps: int. Steps of the attack in training. Defaults to those of the
            setting.
        epochs: float. As a multiple of those of the setting. Defaults to 1.
        attack: function from a radius to an `Attack` for training. Defaults to
            the PGD of the setting.
        objective: `keras_sat.Objective`. Defaults to adversarial training.
        builder: function from `activation`, `num_classes` and `input_shape` to
            a network. Defaults to the residual network of the setting.
        network: dict of arguments of `keras_sat.models.residual_network` that
            replace those of the setting.
        image_size: int. Sides of the images that the network sees. Defaults to
            that of the setting.
        reported: tuple of two str. What others report for ImageNet: clean and
            robust accuracy, in %; see `Study`.
    """

    activation: object = "relu"
    attack_activation: object = None
    evaluated_activation: object = None
    steps: int | None = None
    epochs: float = 1.0
    attack: object = None
    objective: object = None
    builder: object = None
    network: dict = dataclasses.field(default_factory=dict)
    image_size: int | None = None
    reported: tuple = ()

    def build(self, setting, classes, activation=None):
        """Builds the network of this arm, with random weights.

        Args:
            setting: `Setting`.
            classes: int.
            activation: another activation than that of the arm, or `None`.

        Returns:
            `keras.Model` from images in `[0, 1]` to logits.
        """
        size = self.size(setting)
        options = {
            "activation": self.activation if activation is None else activation,
            "num_classes": classes,
            "input_shape": (size, size, 1),
        }
        if self.builder is not None:
            return self.builder(**options)
        filters = self.network.get("filters", setting.filters)
        common = {
            "repeats": (1,) * len(filters),
            "filters": filters,
            "stem": setting.stem,
            "stem_filters": filters[0],
            "block": "basic",
        }
        return keras_sat.models.residual_network(
            **common | self.network | options
        )

    def size(self, setting):
        """Returns the sides of the images, in pixels."""
        return self.image_size or setting.image_size

    def training_attack(self, setting):
        """Returns the attack of training."""
        if self.attack is not None:
            return self.attack(setting.epsilon)
        return setting.attack(self.steps or setting.steps)


def nothing_more(trained):
    """Measures nothing beside the accuracies; see `Study`."""
    return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A question, and the arms whose comparison answers it.

    Args:
        name: str. That of the program, of its folder and of its files.
        arms: dict from names to `Arm`. Names consist of letters, digits, `_`
            and `.`.
        reference: str. The arm that all others are compared with.
        seeds: int. How many seeds each arm gets by default. Defaults to 10.
        quick_seeds: int. How many it gets on the digits. Defaults to 1.
        quick_arms: tuple of str. Which arms run on the digits, so that those
            take at most three minutes of one core. Defaults to all.
        measure: function from `engine.Trained` to a dict of further numbers.
        columns: tuple of str. The keys of that dict.
        varying: tuple of str. Those of them that change from run to run, like
            times.
        reported: pair of str. Where the reported numbers come from and what
            they are: the titles of their columns.
        shown: dict from columns that the table shows, too, to their titles.
            Shares of 1 get a title that ends with `%`.
    """

    name: str
    arms: dict
    reference: str = "relu"
    seeds: int = 10
    quick_seeds: int = 1
    quick_arms: tuple | None = None
    measure: object = nothing_more
    columns: tuple = ()
    varying: tuple = ()
    reported: tuple = ("reported by the paper: clean", "PGD-200")
    shown: dict = dataclasses.field(default_factory=dict)
