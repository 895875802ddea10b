"""`keras-sat finetune`."""

from typing import Literal

from keras_sat_command import pictures
from keras_sat_command import problems
from keras_sat_command import recipe_flags
from keras_sat_command.flags import OptionalNumber
from keras_sat_command.flags import OptionalWhole
from keras_sat_command.training import Corrupt
from keras_sat_command.training import Devices
from keras_sat_command.training import Precision
from keras_sat_command.training import Sets

Start = Literal["clean", "robust"]
Freeze = Literal["nothing", "normalization", "backbone"]
Normalization = Literal[
    "auto",
    "caffe",
    "cifar10",
    "imagenet",
    "levels",
    "tf",
    "torch",
    "unit",
]


def finetune(
    network: str,
    data: str,
    output: str,
    *,
    start: Start = "clean",
    normalization: Normalization = "auto",
    freeze: Freeze = "nothing",
    test_data: str | None = None,
    validation_split: OptionalNumber = None,
    splits: tuple[str, str] = ("train", "test"),
    data_dir: str | None = None,
    activation: str | None = None,
    image_size: OptionalWhole = None,
    batch_size: OptionalWhole = None,
    epochs: OptionalWhole = None,
    head_epochs: OptionalWhole = None,
    epsilon: OptionalNumber = None,
    set: tuple[str, ...] = (),
    corrupt: Corrupt = "error",
    strategy: Devices = "auto",
    precision: Precision = "float32",
    seed: int = 0,
    report_images: int = 1000,
    tensorboard: bool = False,
):
    """Makes a robust classifier of DATA out of a pretrained network.

    Args:
        network: A .keras file, of a network with its head or without.
        data: A folder with a sub-folder of pictures for each class, one with
            the files of MNIST or its family, digits (of scikit-learn), or a
            name of tensorflow-datasets, like cifar10.
        output: Folder for the model, its report and its export. The same
            command goes on in it after a kill.
        start: Whether the network was trained on clean images only.
        normalization: What the network takes: pixels from 0 to 1 (unit), to 255
            (levels), of a mode of keras.applications (caffe, tf, torch), or of
            the statistics of a data set; auto asks the network.
        freeze: What keeps its weights in training.
        test_data: Another folder, to validate on.
        validation_split: Share of DATA to validate on, without --test-data
            0.2.
        splits: Of tensorflow-datasets, to train and to validate on.
        data_dir: Folder of the prepared tensorflow-datasets.
        activation: Activation in the place of ReLU and the like, silu by
            default.
        image_size: Height and width of the pictures, for a network that takes
            any.
        batch_size: Pictures in a step, on all devices together.
        epochs: Passes over the pictures; warm-ups are scaled.
        head_epochs: Before these, passes in which the head alone is trained.
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
    import keras_sat

    size = {} if image_size is None else {"image_size": image_size}
    with problems.arguments(
        path="NETWORK", network="NETWORK", input_shape="--image-size"
    ):
        recipe = keras_sat.recipes.finetune(
            network,
            start,
            normalization=normalization,
            freeze=freeze,
            **size,
        )
    given = {
        "activation": activation,
        "batch_size": batch_size,
        "epochs": epochs,
        "head_epochs": head_epochs,
        "epsilon": epsilon,
    }
    given = {name: value for name, value in given.items() if value is not None}
    chosen = recipe_flags.changed(recipe, given, set)
    sets = Sets(kind, data, test_data, validation_split, splits, data_dir)
    options = {"corrupt": corrupt} if kind in ("folder", "tfds") else {}
    return sets.learned(
        chosen,
        seed,
        options | {"channels": chosen.image_shape[-1]},
        output,
        strategy=strategy,
        precision=precision,
        report_images=report_images,
        tensorboard=tensorboard,
    )
