"""`keras-sat report`."""

from keras_sat_command import problems


def show(report: str):
    """Prints a report of robustness.

    Args:
        report: The folder that `keras-sat evaluate --output` or `train` wrote,
            or the report.json in it.
    """
    return str(load(report))


def compare(first: str, second: str):
    """Compares the reports of two models on the same pictures.

    Args:
        first: The folder of a report.
        second: The folder of the other one.
    """
    import keras_sat

    reports = [load(first, "FIRST"), load(second, "SECOND")]
    with problems.arguments(first="FIRST", second="SECOND", names="SECOND"):
        return str(keras_sat.compare(*reports, names=(first, second)))


def html(report: str, output: str):
    """Writes a report as a page for browsers, in one file.

    Args:
        report: The folder of a report.
        output: The HTML file to write.
    """
    loaded = load(report)
    with problems.arguments(path="OUTPUT"):
        loaded.save_html(output)


def load(path, flag="REPORT"):
    """Returns the `RobustnessReport` in a folder.

    Args:
        path: str.
        flag: str. What the user knows it as.
    """
    import keras_sat

    with problems.arguments(directory=flag):
        return keras_sat.RobustnessReport.load(path)
