"""The process of `evaluate.py` that runs pyautoattack and Foolbox."""

import logging
import pathlib
import re
import types

import foolbox
import numpy as np
import torch
from pyautoattack import AutoAttack
from torch import nn

from benchmarks import evaluation_tasks
from benchmarks import torch_twins

SETTINGS = evaluation_tasks.settings()
NORMS = {"linf": "Linf", "l2": "L2"}


class Convex(nn.Sequential):
    """The twin of the network of `convex_network.py`."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1568, 100),
            nn.ReLU(),
            nn.Linear(100, 10),
        )


def prepared():
    """Returns the network, the images and the labels."""
    folder = pathlib.Path(SETTINGS["folder"])
    with np.load(folder / f"{SETTINGS['network']}.npz") as arrays:
        arrays = dict(arrays)
    images = arrays.pop("images")[: SETTINGS["images"]]
    labels = arrays.pop("labels")[: SETTINGS["images"]]
    logits = arrays.pop("logits")
    if SETTINGS["network"] == "public":
        twin = Convex()
        state = {name: torch.from_numpy(a) for name, a in arrays.items()}
        twin.load_state_dict(state)
        twin.eval()
    else:
        twin = torch_twins.ResNet18((16, 32, 64, 128))
        layers = saved_layers(arrays)
        twin = torch_twins.with_weights(twin, layers)
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    x, y = torch.from_numpy(x), torch.from_numpy(labels).long()
    with torch.no_grad():
        difference = np.abs(twin(x[:32]).numpy() - logits[:32]).max()
    if difference > 1e-4 * np.abs(logits).max():
        raise ValueError(f"The logits of the twins differ by {difference}.")
    device = "cuda" if SETTINGS["device"] == "gpu" else "cpu"
    return twin.to(device), x.to(device), y.to(device)


def saved_layers(arrays):
    """Returns saved weights in the form that `with_weights` takes."""
    weights = {}
    for key, array in arrays.items():
        name, number = key.split("/")
        weights.setdefault(name, {})[int(number)] = array
    layers = []
    for name, numbered in weights.items():
        values = [numbered[i] for i in sorted(numbered) if i >= 0]
        layers.append(
            types.SimpleNamespace(
                name=name,
                weights=values,
                get_weights=lambda values=values: list(values),
                # Only batch normalization has one.
                epsilon=float(numbered.get(-1, 0)),
            )
        )
    return types.SimpleNamespace(layers=layers)


class Accuracies(logging.Handler):
    """Collects the accuracies that AutoAttack logs."""

    def __init__(self):
        super().__init__()
        self.values = []

    def emit(self, record):
        """See `logging.Handler.emit`."""
        found = re.match(
            r"(?:initial|robust) accuracy(?: after \S+)?: ([\d.]+)%.*",
            record.getMessage(),
        )
        if found:
            self.values.append(float(found[1]) / 100)


def autoattack(norm, epsilon):
    """Runs the standard version of AutoAttack."""
    accuracies = Accuracies()
    logger = logging.getLogger("auto-attack")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(accuracies)
    attack = AutoAttack(
        NETWORK, norm=NORMS[norm], eps=epsilon, seed=0, device=IMAGES.device
    )
    result = evaluation_tasks.timed(
        lambda: {
            "x": attack.run_standard_evaluation(
                IMAGES, LABELS, batch_size=SETTINGS["batch_size"]
            )
        }
    )
    logger.removeHandler(accuracies)
    del result["x"]
    # The last one is logged once more at the end.
    return {**result, "accuracies": accuracies.values[:-1]}


def pgd(norm, epsilon, steps, restarts):
    """Runs PGD of Foolbox, each restart on all images."""
    kind = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    # Foolbox's own restarts leave the choice between failures open.
    attack = kind(abs_stepsize=epsilon / 4, steps=steps)
    if restarts > 1:
        attack = attack.repeat(restarts)
    model = foolbox.PyTorchModel(NETWORK, bounds=(0, 1), device=IMAGES.device)

    def run():
        right, broken = [], []
        size = SETTINGS["batch_size"]
        for x, y in zip(IMAGES.split(size), LABELS.split(size), strict=True):
            with torch.no_grad():
                right.append(NETWORK(x).argmax(1) == y)
            broken.append(attack(model, x, y, epsilons=epsilon)[2])
        right, broken = torch.cat(right), torch.cat(broken)
        robust = (right & ~broken).float().mean().item()
        return {"accuracies": [right.float().mean().item(), robust]}

    return evaluation_tasks.timed(run)


if __name__ == "__main__":
    evaluation_tasks.use_cores(SETTINGS["threads"])
    torch.set_num_threads(SETTINGS["threads"])
    torch.backends.cudnn.allow_tf32 = False
    NETWORK, IMAGES, LABELS = prepared()
    evaluation_tasks.serve({"autoattack": autoattack, "pgd": pgd})
