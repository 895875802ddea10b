"""The files of reports of robustness."""

import dataclasses
import io
import json
import os
import pathlib
import zipfile
import zlib

import numpy as np

from keras_sat import checks
from keras_sat import files
from keras_sat.evaluation import report_text
from keras_sat.evaluation.finding import Finding

# The format of the files. Raise the number when `load` can no longer read
# older ones.
FORMAT = "keras_sat robustness report 1"
# The fields that are dicts of arrays: a file each, named by its checksum.
PACKED = ("examples", "extremes")
# The fields that version 0.1.0 did not have.
ADDED = (
    "clean_predictions",
    "adversarial_predictions",
    "class_names",
    "fingerprint",
    "extremes",
)


def save(report, directory):
    """Writes all files of a report; see `RobustnessReport.save`.

    Args:
        report: `RobustnessReport`.
        directory: str or path-like.
    """
    folder = pathlib.Path(directory)
    files.folder_to_write("directory", folder)
    everything = content(report) | {"seconds": report.seconds}
    for field in PACKED:
        if everything[field]:
            packed = _packed(getattr(report, field))
            files.write(
                folder / everything[field],
                lambda file, packed=packed: file.write(packed),
            )
    # The names of these files, which stand in `report.json`, have their
    # checksums: until that file is replaced, the old report is complete.
    text = json.dumps(everything, indent=1, default=plain)
    files.write_text(folder / "report.json", text)
    pictures = report_text.pictures(report)
    text = report_text.markdown(report, pictures)
    files.write_text(folder / "report.md", text)
    # Files of an older report would seem to belong to this one.
    for field in PACKED:
        for path in folder.glob(f"{field}_*.npz"):
            if path.name != everything[field]:
                path.unlink()
    for name in report_text.PICTURES:
        (folder / name).unlink(missing_ok=True)
    for name, draw in pictures.items():
        files.write(folder / name, draw().savefig)


def write_without_pictures(report, directory):
    """Writes `report.json` alone, without the images that a report may hold.

    Args:
        report: `RobustnessReport`.
        directory: str or path-like. It must be there.
    """
    report = dataclasses.replace(report, **dict.fromkeys(PACKED))
    everything = content(report) | {"seconds": report.seconds}
    path = os.path.join(directory, "report.json")
    files.write_text(path, json.dumps(everything, default=plain))


def load(kind, directory):
    """Reads a report; see `RobustnessReport.load`.

    Args:
        kind: class. `RobustnessReport`.
        directory: str or path-like.
    """
    folder = pathlib.Path(directory)
    if folder.name == "report.json" and not folder.is_dir():
        folder = folder.parent
    try:
        text = (folder / "report.json").read_text("utf-8")
        return _parsed(kind, json.loads(text), folder)
    except FileNotFoundError as error:
        problem = f"no file {os.path.basename(error.filename)}"
    except NotADirectoryError:
        problem = "a file"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
    except (EOFError, zipfile.BadZipFile) as error:
        problem = f"damaged examples: {error}"
    return checks.refuse(
        "directory",
        "hold a report as `RobustnessReport.save` writes it",
        checks.Described(f"{os.fspath(directory)!r} ({problem})"),
    )


def write_page(name, path, text):
    """Writes a page into a file whole or not at all.

    Args:
        name: str. The argument that `path` was given as, for errors.
        path: str or path-like. Its folder is created if it is missing.
        text: str.

    Raises:
        TypeError: If `path` is no path.
        ValueError: If it cannot be written.
    """
    path = checks.path(name, path)
    if os.path.isdir(path):
        checks.refuse(
            name, "be a file", checks.Described(f"a folder, {path!r}")
        )
    folder = os.path.dirname(os.path.abspath(path))
    files.folder_to_write(name, folder, "file", path)
    files.write_text(path, text)


def content(report):
    """Returns all of a report but the seconds, as JSON gives it back.

    Args:
        report: `RobustnessReport`.

    Returns:
        dict. Arrays of images are in it by the names of their files.
    """
    result = {
        "format": FORMAT,
        "num_images": report.num_images,
        "clean_accuracy": report.clean_accuracy,
        "accuracy_after": report.accuracy_after,
        "robust_accuracy": report.robust_accuracy,
        "interval": report.interval,
        "per_class": report.per_class,
        "epsilon": report.epsilon,
        "norm": report.norm,
        "attacks": report.attacks,
        "settings": report.settings,
        "seed": report.seed,
        "versions": report.versions,
        "warnings": [dataclasses.asdict(w) for w in report.warnings],
        "curves": {
            kind: {str(float(x)): y for x, y in curve.items()}
            for kind, curve in report.curves.items()
        },
        "labels": report.labels,
        "outcomes": report.outcomes,
        **{name: getattr(report, name) for name in ADDED},
    }
    for field in PACKED:
        arrays = getattr(report, field)
        result[field] = arrays and (
            f"{field}_{zlib.crc32(_packed(arrays)):08x}.npz"
        )
    return json.loads(json.dumps(result, default=plain))


def _parsed(kind, content, folder):
    """Returns the report that the content of `report.json` describes."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("report.json is of another format")
    content = dict.fromkeys(ADDED) | content
    names = [field.name for field in dataclasses.fields(kind)]
    content = {name: content[name] for name in names}
    content["warnings"] = [Finding(**w) for w in content["warnings"]]
    content["curves"] = {
        kind: {float(x): y for x, y in curve.items()}
        for kind, curve in content["curves"].items()
    }
    for field in PACKED:
        if content[field]:
            packed = (folder / content[field]).read_bytes()
            # NumPy leaves a damaged file open, if it is given a path.
            with np.load(io.BytesIO(packed)) as arrays:
                content[field] = dict(arrays)
    return kind(**content)


def _packed(arrays):
    """Returns the content of a `.npz` file with arrays, bytes.

    Equal arrays give equal bytes, so that their checksum identifies them.
    """
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def plain(value):
    """Returns what JSON holds for an array, or for a function in a setting."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return getattr(value, "__qualname__", None) or str(value)
