"""What training costs: processor time, and memory of a step."""

import ctypes
import re
import time

import keras


class EpochCosts(keras.callbacks.Callback):
    """Measures each epoch but, if there are others, the first.

    The first one includes tracing. Times are those of the processor, which
    other programs on the same machine change less than the time on the clock.
    Memory is how much more an epoch needs, at its highest, than there was when
    it began; it is known on Linux only.
    """

    def __init__(self):
        super().__init__()
        self.seconds, self.megabytes = [], []

    def on_epoch_begin(self, epoch, logs=None):
        """Begins to measure."""
        self._held = _reset_peak()
        self._start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        """Notes what the epoch took."""
        self.seconds.append(time.process_time() - self._start)
        peak = _memory("VmHWM")
        known = peak is not None and self._held is not None
        self.megabytes.append(peak - self._held if known else None)

    def of_a_step(self, steps):
        """Returns what a step took, in the epoch that was disturbed least.

        Args:
            steps: int. Steps of an epoch.

        Returns:
            Dict of `step_milliseconds` and `step_megabytes`.
        """
        later = slice(1, None) if self.seconds[1:] else slice(None)
        known = [size for size in self.megabytes[later] if size is not None]
        return {
            "step_milliseconds": 1000 * min(self.seconds[later]) / steps,
            "step_megabytes": min(known, default=None),
        }


def _reset_peak():
    """Forgets the highest memory so far.

    Returns:
        float. The memory that is held now, in MB; `None` if nobody knows.
    """
    try:
        # What was freed, but is still kept for later, would hide what is new.
        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except (OSError, AttributeError):
        return None
    return _memory("VmRSS")


def _memory(name):
    """Returns a size of this process, in MB; `None` if nobody knows."""
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            found = re.search(rf"^{name}:\s+(\d+) kB$", file.read(), re.M)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None
