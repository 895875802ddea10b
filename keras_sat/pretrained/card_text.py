"""Cards of trained networks, for people to read."""

NORMS = {"linf": "L-infinity", "l2": "L2"}
UNKNOWN = "not stated"


def markdown(card):
    """Returns a card as a page in Markdown.

    Args:
        card: `PresetCard`.

    Returns:
        str.
    """
    parts = [
        f"# {card.name}",
        card.summary,
        table([("", ""), *_facts(card)]),
        "## Accuracy",
        table(_accuracies(card)),
        _explanation(card),
        _list(card.warnings, ""),
        "## Training",
        table([("", ""), *_training(card)]),
        _command(card),
        "## Limits",
        _list(card.limits, UNKNOWN),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def threat_model(card):
    """Returns words for the attacks that were made on a network."""
    return f"{NORMS.get(card.norm, card.norm)}, {card.epsilon:g}"


def shape(card):
    """Returns the shape of the images, like `28x28x1`."""
    return "x".join("any" if n is None else str(n) for n in card.image_shape)


def _facts(card):
    """Returns what the network is, as pairs of texts."""
    names = ", ".join(card.class_names or ())
    view = _words(card.view) if card.view else UNKNOWN
    return [
        ("images", f"{shape(card)}, pixels in [0, 1]"),
        ("what they show of pictures", view),
        ("classes", f"{card.num_classes}" + (f": {names}" if names else "")),
        ("output", "logits"),
        ("weights", f"{card.parameters:,}"),
        ("data", card.data or UNKNOWN),
        ("licence of the data", card.data_license or UNKNOWN),
    ]


def _accuracies(card):
    """Returns the rows of the table of accuracies."""
    low, high = card.interval
    return [
        ("images", "clean", "robust", "95% interval"),
        (
            f"{card.num_images:,}",
            f"{card.clean_accuracy:.2%}",
            f"{card.robust_accuracy:.2%}",
            f"{low:.2%} to {high:.2%}",
        ),
    ]


def _explanation(card):
    """Returns what the accuracies mean."""
    return (
        f"Robust: the worst case of {', '.join(card.attacks)}, which move each "
        f"image by at most {card.epsilon:g} in the {NORMS.get(card.norm)} "
        f"norm; seed {card.attack_seed}. What happened to each image is in "
        "`report.json`."
    )


def _training(card):
    """Returns how the network came about, as pairs of texts."""
    packages = ", ".join(f"{k} {v}" for k, v in card.versions.items())
    rows = [
        ("seeds", _words(card.seeds)),
        ("machine", card.machine or UNKNOWN),
        ("date", card.date or UNKNOWN),
        ("saved with", packages),
    ]
    if isinstance(card.recipe, dict):
        return [*rows, *((k, _words(v)) for k, v in card.recipe.items())]
    return [*rows, ("recipe", card.recipe or UNKNOWN)]


def _command(card):
    """Returns the command as a block of code."""
    if card.command is None:
        return None
    return f"```sh\n{card.command}\n```"


def _list(lines, otherwise):
    """Returns lines as a list, or a text if there are none."""
    return "\n".join(f"- {line}" for line in lines) or otherwise


def _words(value):
    """Returns a value as text."""
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_words(v)}" for k, v in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "-"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def table(rows):
    """Returns rows of texts as a table; the first row is its head."""
    head, *rest = (
        # A bar would begin another cell, and a new line another row.
        "| "
        + " | ".join(
            cell.replace("|", r"\|").replace("\n", " ") for cell in row
        )
        + " |"
        for row in rows
    )
    line = "|" + "---|" * len(rows[0])
    return "\n".join([head, line, *rest])
