"""The card of a trained network: what it is, and how it was measured."""

import dataclasses
import datetime
import difflib
import json

from keras_sat import checks
from keras_sat.evaluation.report import RobustnessReport
from keras_sat.evaluation.report_text import VIEW
from keras_sat.version import versions

# The format of `card.json`. Raise the number when it can no longer be read.
FORMAT = "keras_sat preset 1"
# What only the one who trained the network can say, as text.
TEXTS = ("summary", "data", "data_license", "command", "machine", "date")
# Lists of texts.
LISTS = ("attacks", "limits", "warnings")
STATED = (*TEXTS, "recipe", "seeds", "limits", "class_names")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetCard:
    """The card of a trained network: its data, training, accuracy and limits.

    What nobody has stated is `None`.

    Args:
        name: str. The name of the preset, and of its folder.
        image_shape: tuple `(height, width, channels)`; sizes may be `None`.
        num_classes: int >= 2.
        parameters: int. Number of weights.
        norm: str. That of the attacks, `"linf"` or `"l2"`.
        epsilon: float. Their radius, of pixels in `[0, 1]`.
        clean_accuracy: float in `[0, 1]`, on the images of the report.
        robust_accuracy: float in `[0, 1]`. The worst case of all attacks.
        interval: pair of floats. 95% confidence interval of `robust_accuracy`.
        num_images: int. Number of images of the report.
        attacks: tuple of str.
        attack_seed: int. The seed of the attacks.
        warnings: tuple of str. Why the evaluation doubts the robust accuracy.
        versions: dict from packages to their versions.
        sha256: str. The hash of `model.keras`.
        view: dict. What the images show of pictures; see `data.image_folder`.
        class_names: tuple of str.
        summary: str. What the network is, in a sentence.
        data: str. What it was trained, chosen and measured on.
        data_license: str.
        recipe: dict of hyperparameters, or text.
        command: str. What trains and measures it again.
        seeds: int, list or dict of int.
        machine: str. Where it was trained and measured.
        date: str. When it was measured.
        limits: tuple of str. What it cannot do, and what is not known.
    """

    name: str
    image_shape: tuple
    num_classes: int
    parameters: int
    norm: str
    epsilon: float
    clean_accuracy: float
    robust_accuracy: float
    interval: tuple
    num_images: int
    attacks: tuple
    attack_seed: int
    versions: dict
    sha256: str
    warnings: tuple = ()
    view: dict = dataclasses.field(default_factory=dict)
    class_names: tuple | None = None
    summary: str | None = None
    data: str | None = None
    data_license: str | None = None
    recipe: dict | str | None = None
    command: str | None = None
    seeds: int | list | dict | None = None
    machine: str | None = None
    date: str | None = None
    limits: tuple = ()

    def __post_init__(self):
        # JSON has lists only.
        for name in ("image_shape", "interval", *LISTS):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("name", "norm", "sha256"):
            _check_text(name, getattr(self, name))
        for name in ("num_classes", "parameters", "num_images"):
            checks.integer(name, getattr(self, name))
        checks.real("epsilon", self.epsilon, least=0)
        for name in ("clean_accuracy", "robust_accuracy"):
            checks.probability(name, getattr(self, name))
        if len(self.interval) != 2:
            checks.refuse("interval", "be a pair of numbers", self.interval)
        for name in (*TEXTS, "recipe"):
            value = getattr(self, name)
            if value is not None and not (
                name == "recipe" and isinstance(value, dict)
            ):
                _check_text(name, value)
        for name in LISTS:
            for value in getattr(self, name):
                _check_text(name, value)
        if self.class_names is not None:
            names = checks.class_names(self.class_names, self.num_classes)
            object.__setattr__(self, "class_names", tuple(names))

    @classmethod
    def parse(cls, text):
        """Reads a card from the text of `card.json`.

        Args:
            text: str.

        Raises:
            TypeError, ValueError: If it is no card, or a damaged one.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError("card.json is of another format")
        known = [field.name for field in dataclasses.fields(cls)]
        # A later version may know more; what is missing is refused.
        return cls(**{name: content[name] for name in known if name in content})

    def text(self):
        """Returns the text of `card.json`."""
        content = {"format": FORMAT} | dataclasses.asdict(self)
        return json.dumps(content, indent=2, allow_nan=False) + "\n"


def card_of(name, network, report, stated, sha256):
    """Returns the card of a network that was measured.

    Args:
        name: str.
        network: `keras.Model` from images to logits.
        report: its `RobustnessReport`.
        stated: dict, or `None`; see `save_preset`.
        sha256: str. The hash of its file.

    Returns:
        `PresetCard`.
    """
    image_shape, num_classes = checks.classifier("model", network)
    _check_report(report, num_classes)
    stated = _stated(stated)
    stated.setdefault("class_names", report.class_names)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    stated.setdefault("date", today.isoformat())
    return PresetCard(
        name=name,
        image_shape=image_shape,
        num_classes=num_classes,
        parameters=network.count_params(),
        norm=report.norm,
        epsilon=report.epsilon,
        clean_accuracy=report.clean_accuracy,
        robust_accuracy=report.robust_accuracy,
        interval=tuple(map(float, report.interval)),
        num_images=report.num_images,
        attacks=report.attacks,
        attack_seed=report.seed,
        warnings=[f"{w.name}: {w.found} {w.meaning}" for w in report.warnings],
        versions=versions(),
        view=report.settings.get(VIEW, {}),
        sha256=sha256,
        **stated,
    )


def _check_report(report, num_classes):
    """Refuses what cannot be the report of a network with so many classes."""
    if not isinstance(report, RobustnessReport):
        checks.refuse(
            "report",
            "be a RobustnessReport",
            checks.Described(f"a {type(report).__name__}"),
            "Measure the model with evaluate_robustness.",
            TypeError,
        )
    ids = [report.labels, report.clean_predictions]
    last = max(int(values.max()) for values in ids if values is not None)
    if last >= num_classes:
        checks.refuse(
            "report",
            f"be that of `model`, which has {num_classes} classes",
            checks.Described(f"one with the class {last}"),
        )


def _stated(card):
    """Returns what the user states, as JSON gives it back, or refuses it."""
    card = {} if card is None else card
    if not isinstance(card, dict):
        checks.refuse("card", "be a dict", card, error=TypeError)
    unknown = [key for key in card if key not in STATED]
    if unknown:
        like = difflib.get_close_matches(str(unknown[0]), STATED)
        checks.refuse(
            "card",
            f"have keys of {list(STATED)}",
            checks.Described(f"the key {unknown[0]!r}"),
            f"Like it: {like}." if like else "",
        )
    recipe = card.get("recipe")
    if hasattr(recipe, "get_config"):
        card = card | {"recipe": recipe.get_config()}
    try:
        return json.loads(json.dumps(card, allow_nan=False))
    except (TypeError, ValueError) as error:
        return checks.refuse(
            "card",
            "hold what JSON can hold",
            checks.Described(str(error)),
            error=type(error),
        )


def _check_text(name, value):
    """Refuses what is no text."""
    if not isinstance(value, str):
        checks.refuse(name, "be a str", value, error=TypeError)
