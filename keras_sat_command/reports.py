"""`keras-sat report`."""

from keras_sat_command import problems


def show(report: str):
    """Prints a report of robustness.

    Args:
        report: The folder that `keras-sat evaluate --output` or `train` wrote,
            or the report.json in it.
    """
    return str(load(report))


def load(path, flag="REPORT"):
    """Returns the `RobustnessReport` in a folder.

    Args:
        path: str.
        flag: str. What the user knows it as.
    """
    import keras_sat

    with problems.arguments(directory=flag):
        return keras_sat.RobustnessReport.load(path)
