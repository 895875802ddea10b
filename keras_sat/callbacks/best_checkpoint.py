"""A callback that keeps the model of the best epoch in a file."""

import glob
import json
import os
import tempfile

from absl import logging

from keras_sat import checks
from keras_sat import distribution
from keras_sat import files
from keras_sat import programs
from keras_sat.callbacks.writer import Writer


class BestCheckpoint(Writer):
    """Saves the whole model whenever an epoch is better than all before it.

    Robust accuracy falls again when adversarial training goes on for long: the
    best epoch is rarely the last one. If the optimizer keeps moving averages of
    the weights, these are evaluated and saved.

    The logs of the best epoch are written to a JSON file beside the model. When
    training goes on after an interruption, it reads there which value an epoch
    has to exceed. Each file is written whole or not at all. One worker of
    several writes.

    Args:
        path: str or path-like. The `.keras` file to write; its folder is
            created.
        monitor: str. The log whose highest value is the best. Defaults to
            `"val_robust_accuracy"`.

    Raises:
        ValueError: If `path` is no `.keras` file; in `fit`, if there is no such
            log, or if `path` cannot be written or another process writes it. In
            an epoch without validation nothing is saved.

    Example:

    ```python
    best = keras_sat.callbacks.BestCheckpoint("run/best.keras")
    model.fit(train_ds, validation_data=test_ds, callbacks=[best])
    model = keras_sat.load_model("run/best.keras")
    ```

    Reference:
    - [Rice et al., 2020](https://arxiv.org/abs/2002.11569)
    """

    def __init__(self, path, monitor="val_robust_accuracy"):
        super().__init__(path, "path")
        self.path = checks.path("path", path)
        if not self.path.endswith(".keras"):
            checks.refuse("path", "end with '.keras'", self.path)
        self.monitor = monitor
        self._best = -float("inf")

    @property
    def logs_path(self):
        """The JSON file with the logs of the best epoch."""
        return self.path.removesuffix(".keras") + ".json"

    def on_train_begin(self, logs=None):
        """Reads the value of the best epoch of an earlier `fit`."""
        if os.path.exists(self.path) and os.path.exists(self.logs_path):
            with open(self.logs_path, encoding="utf-8") as file:
                self._best = json.load(file).get(self.monitor, self._best)

    def on_epoch_end(self, epoch, logs=None):
        """Saves, if this is the best epoch so far."""
        logs = logs or {}
        if self.monitor not in logs:
            if self.monitor.startswith("val_") and not any(
                name.startswith("val_") for name in logs
            ):
                # Not each epoch has a validation, with `validation_freq`.
                logging.warning(
                    "There is no %s in epoch %d.", self.monitor, epoch + 1
                )
                return
            checks.refuse(
                "monitor",
                f"be one of {sorted(logs)}",
                self.monitor,
                "Those of validation need `validation_data`.",
            )
        if not logs[self.monitor] > self._best:
            return
        self._best = logs[self.monitor]
        if not distribution.is_chief(self.model.distribute_strategy):
            # Variables of several workers are read by all of them or by none.
            with tempfile.TemporaryDirectory() as directory:
                self.model.save(os.path.join(directory, "unused.keras"))
            return
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        with files.replacing(self.path, ".keras") as temporary:
            self.model.save(temporary)
        values = {name: float(value) for name, value in logs.items()}
        text = json.dumps({"epoch": epoch + 1} | values, indent=2)
        files.write_text(self.logs_path, text)
        self._say_so(epoch)

    def _say_so(self, epoch):
        """Says that an epoch is the best, unless `fit` is to be silent."""
        verbose = (self.params or {}).get("verbose")
        if verbose:
            # The bar of Keras is still in the last line.
            start = "" if verbose == 2 else "\n"
            programs.say(
                f"{start}Epoch {epoch + 1} is the best so far: "
                f"{self.monitor} is {self._best:.4f}."
            )

    def remove_unfinished(self):
        """See `Writer.remove_unfinished`."""
        for path in (self.path, self.logs_path):
            folder, name = os.path.split(path)
            files.remove_unfinished(folder, glob.escape(name))
