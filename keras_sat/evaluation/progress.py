"""The line that shows how far an evaluation has come."""

import contextlib
import dataclasses
import math
import os
import sys
import time

# Seconds between two lines where they are not written over each other.
BETWEEN_LINES = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Status:
    """How far an evaluation has come.

    Args:
        attack: str. The label of the attack that is being made.
        piece: int. How many pieces of it were made; 0 while it is traced and
            compiled.
        images: int. How many images were read.
        right: int. How many of them are classified right.
        robust: int. How many of them no attack has broken yet.
        seconds_left: float. An estimate; NaN if there is none yet.
    """

    attack: str
    piece: int
    images: int
    right: int
    robust: int
    seconds_left: float


class Progress:
    """Shows the attack, the accuracies so far, and the time left, in one line.

    In a terminal, each line is written over the one before. In files, there is
    one for every attack, and one every 30 seconds.

    Args:
        verbose: int. 0 for no line.
        stream: file to write to. Defaults to the standard output.
    """

    def __init__(self, verbose, stream=None):
        self.verbose = verbose
        self._stream = sys.stdout if stream is None else stream
        self._overwrites = self._stream.isatty()
        self._shown = None
        self._time = -math.inf
        self._width = 0

    def update(self, status):
        """Shows a `Status`."""
        if not self.verbose:
            return
        now = time.monotonic()
        is_new = (status.attack, status.piece == 0) != self._shown
        if self._overwrites or is_new or now - self._time > BETWEEN_LINES:
            self._shown = status.attack, status.piece == 0
            self._time = now
            self._write(described(status))

    @contextlib.contextmanager
    def explained_interruption(self, state_path):
        """Ends the line, and says how to go on where Ctrl-C ends the work.

        Args:
            state_path: str or path-like, or `None`; see `evaluate_robustness`.
        """
        try:
            yield
        except KeyboardInterrupt:
            self.close()
            if self.verbose:
                self._stream.write(_how_to_go_on(state_path) + "\n")
            raise
        finally:
            self.close()

    def close(self):
        """Ends the line, if one is open."""
        if self._overwrites and self._width:
            self._stream.write("\n")
            self._stream.flush()
        self._width = 0

    def _write(self, line):
        """Writes a line, over the last one where that can be done."""
        if self._overwrites:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def described(status):
    """Returns a `Status` in words.

    Args:
        status: `Status`.
    """
    what = f"piece {status.piece}" if status.piece else "compiling"
    parts = [f"{status.attack}: {what}", f"{status.images} images"]
    if status.images:
        parts.append(f"clean {status.right / status.images:.2%}")
        parts.append(f"robust so far {status.robust / status.images:.2%}")
    if math.isfinite(status.seconds_left):
        parts.append(f"about {_clock(status.seconds_left)} left")
    return ", ".join(parts)


def _how_to_go_on(state_path):
    """Returns words for an evaluation that was interrupted."""
    if state_path is None:
        return (
            "Interrupted. With `state_path` the same call would go on from "
            "where it was."
        )
    return (
        f"Interrupted. The same call goes on from {os.fspath(state_path)!r}; "
        "the piece that was being computed is repeated."
    )


def _clock(seconds):
    """Returns seconds like `1:02:03` or `2:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"
