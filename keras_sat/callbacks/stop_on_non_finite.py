"""A callback that ends training when the loss is NaN or infinite."""

import math

import keras


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with an explanation when the loss is NaN or infinite.

    `Resume` saves no state that is not finite: its last checkpoint is good.

    Raises:
        FloatingPointError: In `fit`. The message names the step and the last
            finite loss, which, like every loss that Keras logs, is a mean over
            the epoch so far.

    Example:

    ```python
    model.fit(
        ds,
        callbacks=[
            keras_sat.callbacks.StopOnNonFinite(),
            keras_sat.callbacks.Resume("run"),
        ],
    )
    ```
    """

    def __init__(self):
        super().__init__()
        self._last = None
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch, for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Ends training unless the loss is finite."""
        # The mean over the epoch so far: once NaN, it stays NaN.
        loss = float((logs or {}).get("loss", 0.0))
        if math.isfinite(loss):
            self._last = loss
            return
        last = "there was none before" if self._last is None else self._last
        raise FloatingPointError(
            f"The loss must be finite. Received: loss={loss} at step "
            f"{batch + 1} of epoch {self._epoch + 1}; the last finite loss: "
            f"{last}. Try a lower learning rate, a warm-up, clipped gradients, "
            "or bfloat16 or float32 instead of float16."
        )
