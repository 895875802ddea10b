"""The worst and the luckiest images of a report, for a page."""

import base64

import numpy as np
import tensorflow as tf

from keras_sat.evaluation.markup import element

WORST = (
    "Worst images",
    "Right without an attack, and broken by the earliest attack of those that "
    "broke any; among these, the wrong class leads by most logits on what that "
    "attack found.",
    "No attack broke an image.",
)
LUCKIEST = (
    "Luckiest images",
    "They withstood every attack, by the smallest lead of the right class, in "
    "logits, on anything that an attack returned. What came nearest stands "
    "beside the clean image.",
    "No image withstood all attacks.",
)


def section(report):
    """Returns the two galleries of a report.

    Args:
        report: `RobustnessReport` with `extremes`.

    Returns:
        str of HTML.
    """
    withstood = np.asarray(report.extremes["withstood"], bool)
    parts = []
    for (title, meaning, empty), chosen in (
        (WORST, ~withstood),
        (LUCKIEST, withstood),
    ):
        places = np.flatnonzero(chosen)
        parts.append(element("h3", title, raw=False))
        text = meaning if len(places) else empty
        parts.append(element("p", text, raw=False))
        if len(places):
            figures = (_figure(report, place) for place in places)
            parts.append(element("div", "\n".join(figures), class_="gallery"))
    note = (
        "They were attacked once more, after the evaluation, to be shown here; "
        "8 bits of each pixel are shown."
    )
    return "\n".join([*parts, element("p", note, raw=False, class_="note")])


def data_uri(image):
    """Returns an image as an address that holds all of it.

    Args:
        image: uint8 array `(height, width, 1 or 3)`.
    """
    content = tf.io.encode_png(image, compression=9).numpy()
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def _figure(report, place):
    """Returns a clean image beside an adversarial one, with a caption."""
    shown = {name: values[place] for name, values in report.extremes.items()}
    right = report.class_name(int(shown["labels"]))
    clean = report.class_name(int(shown["clean_predictions"]))
    adversarial = report.class_name(int(shown["adversarial_predictions"]))
    index = int(shown["attacks"])
    attack = report.attacks[index] if index >= 0 else "no attack"
    number = int(shown["rows"])
    pair = _image(
        shown["images"], f"Image {number}, clean: predicted {clean}"
    ) + _image(
        shown["adversarial"],
        f"Image {number} after {attack}: predicted {adversarial}",
    )
    kind = "kept" if adversarial == right else "lost"
    verdict = element("strong", adversarial, raw=False, class_=kind)
    lines = [
        element("span", f"{number}: {right}", raw=False),
        f"predicted {verdict}",
        element("span", f"{attack}, lead {shown['leads']:+.3g}", raw=False),
    ]
    caption = element("figcaption", "<br>".join(lines))
    return element("figure", element("div", pair, class_="pair") + caption)


def _image(image, text):
    """Returns an image with a text for those who cannot see it."""
    height, width = image.shape[:2]
    return element(
        "img",
        None,
        src=data_uri(image),
        alt=text,
        width=width,
        height=height,
    )
