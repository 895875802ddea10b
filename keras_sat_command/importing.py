"""`keras-sat import`: weights that others have trained."""

import json
from typing import Literal

from keras_sat_command import classifiers
from keras_sat_command import problems
from keras_sat_command.flags import OptionalWhole
from keras_sat_command.measuring import Norm
from keras_sat_command.networks import check_output

Leaderboard = Literal["cifar10", "cifar100", "imagenet"]


def official(
    checkpoint: str,
    output: str,
    *,
    network: str = "resnet50",
    activation: str = "silu",
    image_size: int = 224,
    group_width: OptionalWhole = None,
    moving_averages: bool = False,
    overwrite: bool = False,
):
    """Imports a TF1 checkpoint of the authors of the paper.

    Args:
        checkpoint: Prefix or folder of the checkpoint.
        output: The .keras file to write.
        network: Its network, like resnet50, resnext50 or efficientnet_b0.
        activation: Its activation.
        image_size: Height and width of the pictures.
        group_width: Of a ResNeXt, the width of the groups: 4 or 8.
        moving_averages: Read moving averages, as of L1-Enhanced.
        overwrite: Replace a file that is there.
    """
    check_output(output, overwrite)
    import keras_sat

    options = {} if group_width is None else {"group_width": group_width}
    with problems.arguments(name="--network", path="CHECKPOINT"):
        model = keras_sat.models.get(
            network,
            activation=activation,
            input_shape=(image_size, image_size, 3),
            **options,
        )
        ignored = keras_sat.load_official_checkpoint(
            model, checkpoint, moving_averages
        )
    model.save(output)
    return _ignored(ignored)


def torch(
    checkpoint: str,
    output: str,
    *,
    network: str | None = None,
    options: str = "{}",
    model: str | None = None,
    entry: str | None = None,
    overwrite: bool = False,
):
    """Imports the weights of a PyTorch network, without PyTorch.

    Args:
        checkpoint: A file of PyTorch or safetensors.
        output: The .keras file to write.
        network: A network of this package with the same layers, like resnet18.
        options: Arguments of its builder, as JSON, like '{"stem": "small"}'.
        model: A .keras file with the same layers, in place of --network.
        entry: Which of several dictionaries in the file.
        overwrite: Replace a file that is there.
    """
    check_output(output, overwrite)
    if (network is None) == (model is None):
        problems.wrong("--network", "or --model is needed, and not both")
    try:
        arguments = json.loads(options)
    except ValueError as error:
        problems.wrong("--options", f"must be JSON: {error}")
    import keras_sat

    if model is not None:
        built = classifiers.load_layers(model)
    else:
        with problems.arguments(name="--network"):
            built = keras_sat.models.get(network, **arguments)
    with problems.arguments(path="CHECKPOINT"):
        ignored = keras_sat.load_torch_checkpoint(built, checkpoint, entry)
    built.save(output)
    return _ignored(ignored)


def robustbench(
    name: str,
    checkpoint: str,
    output: str,
    *,
    dataset: Leaderboard = "cifar10",
    norm: Norm = "linf",
    overwrite: bool = False,
):
    """Imports a network of the leaderboards of RobustBench.

    Args:
        name: As RobustBench calls it, like Wang2023Better_WRN-28-10.
        checkpoint: The file with the weights, which RobustBench downloads.
        output: The .keras file to write.
        dataset: Of the leaderboard.
        norm: Of the leaderboard.
        overwrite: Replace a file that is there.
    """
    check_output(output, overwrite)
    import keras_sat

    with problems.arguments(name="NAME", path="CHECKPOINT"):
        model = keras_sat.robustbench(name, checkpoint, dataset, norm)
    model.save(output)
    return f"{output}: {model.count_params()} weights"


def _ignored(names):
    """Returns what was not read from a checkpoint, a line each."""
    return "\n".join([f"{len(names)} variables ignored", *names])
