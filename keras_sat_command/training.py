"""`keras-sat train`."""

import dataclasses
import os
import sys
from typing import Literal

from keras_sat_command import pictures
from keras_sat_command import problems
from keras_sat_command import recipe_flags
from keras_sat_command.flags import OptionalNumber
from keras_sat_command.flags import OptionalWhole

RecipeName = Literal[
    "auto",
    "cifar10",
    "cifar10_awp",
    "cifar10_mart",
    "cifar10_trades_ema",
    "imagenet_efficientnet",
    "imagenet_light",
    "imagenet_modern",
    "imagenet_resnet",
]
Devices = Literal["auto", "tpu", "workers", "slurm", "gpus", "one"]
Corrupt = Literal["error", "skip"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]


def train(
    data: str,
    output: str,
    *,
    test_data: str | None = None,
    validation_split: OptionalNumber = None,
    splits: tuple[str, str] = ("train", "test"),
    data_dir: str | None = None,
    recipe: RecipeName = "auto",
    network: str | None = None,
    activation: str | None = None,
    image_size: OptionalWhole = None,
    channels: OptionalWhole = None,
    batch_size: OptionalWhole = None,
    epochs: OptionalWhole = None,
    epsilon: OptionalNumber = None,
    set: tuple[str, ...] = (),
    corrupt: Corrupt = "error",
    strategy: Devices = "auto",
    precision: Precision = "float32",
    seed: int = 0,
    report_images: int = 1000,
    tensorboard: bool = False,
):
    """Trains a robust classifier by a recipe, measures and exports it.

    Args:
        data: A folder with a sub-folder of pictures for each class, one with
            the files of MNIST or its family, digits (of scikit-learn), or a
            name of tensorflow-datasets, like cifar10.
        output: Folder for the model, its report and its export. The same
            command goes on in it after a kill.
        test_data: Another folder, to validate on.
        validation_split: Share of DATA to validate on, without --test-data
            0.2.
        splits: Of tensorflow-datasets, to train and to validate on.
        data_dir: Folder of the prepared tensorflow-datasets.
        recipe: Published values to train by; auto is one that fits DATA.
        network: Another network than that of the recipe, like resnet18.
        activation: Another activation, like gelu.
        image_size: Height and width of the pictures.
        channels: 1 for gray pictures, 3 for colors.
        batch_size: Pictures in a step, on all devices together.
        epochs: Passes over the pictures; warm-ups and decays are scaled.
        epsilon: Radius in the L-infinity norm, like 8/255; steps are scaled.
        set: Other fields of the recipe, like steps=3 ema=0.99.
        corrupt: Whether a broken picture ends training, or is left out.
        strategy: Devices to use.
        precision: Numbers to compute with.
        seed: Seed of all random numbers.
        report_images: Pictures that AutoAttack attacks at the end.
        tensorboard: Write logs for TensorBoard.
    """
    kind = pictures.kind_of(data)
    if kind == "npz":
        problems.wrong("DATA", f"must not be a file to train on: {data!r}")
    given = {
        "network": network,
        "activation": activation,
        "image_size": image_size,
        "batch_size": batch_size,
        "epochs": epochs,
        "epsilon": epsilon,
    }
    given = {name: value for name, value in given.items() if value is not None}
    chosen = recipe_flags.recipe_of(kind, data, recipe, given, set)
    sets = Sets(kind, data, test_data, validation_split, splits, data_dir)
    options = {"corrupt": corrupt} if kind in ("folder", "tfds") else {}
    if channels or kind in ("digits", "idx"):
        options["channels"] = channels or 1
    return sets.learned(
        chosen,
        seed,
        options,
        output,
        strategy=strategy,
        precision=precision,
        report_images=report_images,
        tensorboard=tensorboard,
    )


def _verbose():
    """Returns whether Keras draws bars, or writes a line for each epoch."""
    colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return 1 if colored else 2


def _visible(folder):
    return [name for name in os.listdir(folder) if not name.startswith(".")]


@dataclasses.dataclass(frozen=True)
class Sets:
    """The sets to train and to validate on, as flags describe them."""

    kind: str
    data: str
    test_data: str | None
    validation_split: float | None
    splits: tuple
    data_dir: str | None

    def learned(self, recipe, seed, options, output, *, strategy, **running):
        """Trains by a recipe, and returns the report as text.

        Args:
            recipe: `Recipe`.
            seed: int. Seed of all random numbers.
            options: see `both`.
            output: str. The folder to write to.
            strategy: str. The devices to use.
            **running: options of `recipes.train`.
        """
        import keras

        import keras_sat

        devices = keras_sat.strategy(strategy)
        keras.utils.set_random_seed(seed)
        with problems.arguments(
            directory="OUTPUT", input_shape="DATA, for this network,"
        ):
            _, report = keras_sat.recipes.train(
                recipe,
                *self.both(recipe, seed, options),
                output,
                strategy=devices,
                verbose=_verbose(),
                **running,
            )
        written = f"{output}: " + ", ".join(sorted(_visible(output)))
        return f"{report}\n\n{written}"

    def both(self, recipe, seed, options):
        """Returns the two datasets for a recipe.

        Args:
            recipe: `Recipe`.
            seed: int.
            options: dict of further options of `data.image_folder`.
        """
        import keras_sat

        if self.kind != "folder" and (self.test_data or self.validation_split):
            flag = "--test-data" if self.test_data else "--validation-split"
            problems.wrong(flag, "is for folders of pictures only")
        if self.kind == "digits":
            return keras_sat.data.digits(
                recipe.batch_size, recipe.image_size, options["channels"]
            )
        with problems.arguments(
            directory="DATA", name="DATA", split="--splits"
        ):
            if self.kind == "folder":
                return self._folders(recipe.data_options | options, seed)
            if self.kind == "idx":
                return self._idx(recipe, seed)
            options = recipe.data_options | options
            options |= {"data_dir": self.data_dir}
            training, validation = self.splits
            return (
                keras_sat.data.load(
                    self.data, training, training=True, seed=seed, **options
                ),
                keras_sat.data.load(self.data, validation, **options),
            )

    def _folders(self, options, seed):
        """Returns two folders, or the two parts of one."""
        import keras_sat

        if self.test_data is None:
            share = self.validation_split
            return keras_sat.data.image_folder(
                self.data,
                training=True,
                validation_split=0.2 if share is None else share,
                subset="both",
                seed=seed,
                **options,
            )
        if self.validation_split is not None:
            problems.wrong("--validation-split", "is not for --test-data")
        train_ds = keras_sat.data.image_folder(
            self.data, training=True, seed=seed, **options
        )
        with problems.arguments(
            directory="--test-data", class_names="--test-data"
        ):
            return train_ds, keras_sat.data.image_folder(
                self.test_data, class_names=train_ds.class_names, **options
            )

    def _idx(self, recipe, seed):
        """Returns the training images of MNIST, and those held out."""
        import keras_sat

        options = {
            "batch_size": recipe.batch_size,
            "image_size": recipe.image_size,
        }
        return (
            keras_sat.data.idx_folder(
                self.data, training=True, seed=seed, **options
            ),
            keras_sat.data.idx_folder(self.data, "validation", **options),
        )
