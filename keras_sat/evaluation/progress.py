"""The line that shows how far an evaluation has come."""

import contextlib
import dataclasses
import math
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
        batches: int. How many batches were read.
        num_batches: int. How many there are; `None` if that is not known.
        images: int. How many images were read.
        right: int. How many of them are classified right.
        robust: int. How many of them no attack has broken yet.
        seconds_left: float. An estimate, NaN if there is none yet. Without
            `num_batches` it is one for the images that were read.
    """

    attack: str
    piece: int
    batches: int
    num_batches: int | None
    images: int
    right: int
    robust: int
    seconds_left: float


class Progress:
    """Shows the attack, the accuracies so far, and the time left, in one line.

    In a terminal, each line is written over the one before. In files, there is
    one when an attack is made for the first time, and one every 30 seconds.

    Args:
        verbose: int. 0 for no line.
        stream: file to write to. Defaults to the standard output.
    """

    def __init__(self, verbose, stream=None):
        self.verbose = verbose
        self._stream = sys.stdout if stream is None else stream
        self._overwrites = self._stream.isatty()
        self._shown = set()
        self._time = -math.inf
        self._width = 0

    def update(self, status):
        """Shows a `Status`."""
        self._show(described(status), (status.attack, status.piece == 0))

    def say(self, text):
        """Shows what is being done in words.

        Args:
            text: str, without a line break.
        """
        self._show(text, text)

    def note(self, text):
        """Writes a line that is not written over.

        Args:
            text: str, without a line break.
        """
        if self.verbose:
            self.close()
            self._stream.write(text + "\n")
            self._stream.flush()

    def _show(self, line, kind):
        """Shows a line if it is of a new kind, or the last one was long ago."""
        if not self.verbose:
            return
        now = time.monotonic()
        is_new = kind not in self._shown
        if self._overwrites or is_new or now - self._time > BETWEEN_LINES:
            self._shown.add(kind)
            self._time = now
            self._write(line)

    @contextlib.contextmanager
    def explained_interruption(self, how_to_go_on):
        """Ends the line, and says how to go on where Ctrl-C ends the work.

        Args:
            how_to_go_on: str. One or two sentences.
        """
        try:
            yield
        except KeyboardInterrupt:
            self.close()
            if self.verbose:
                self._stream.write(f"Interrupted. {how_to_go_on}\n")
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
    read = f"batch {status.batches}"
    if status.num_batches:
        read += f" of {status.num_batches}"
    parts = [f"{status.attack}: {what}", read, f"{status.images} images"]
    if status.images:
        parts.append(f"clean {status.right / status.images:.2%}")
        parts.append(f"robust so far {status.robust / status.images:.2%}")
    if math.isfinite(status.seconds_left):
        of_what = "" if status.num_batches else " for these"
        parts.append(f"about {_clock(status.seconds_left)} left{of_what}")
    return ", ".join(parts)


def seconds_left(stages, expected):
    """Returns an estimate of the time that attacks take.

    Args:
        stages: list of `Stage`, in the order in which images pass them. One
            that was not made yet is taken for one like the others.
        expected: float. How many images will come, besides those there.

    Returns:
        float. At most so long, if as fast as until now; NaN if no stage has
        worked yet.
    """
    known = [s.pace.seconds for s in stages if math.isfinite(s.pace.seconds)]
    if not known:
        return float("nan")
    total, arriving = 0.0, expected
    for stage in stages:
        pace = stage.pace.seconds
        pace = pace if math.isfinite(pace) else sum(known) / len(known)
        total += pace * (stage.steps_left + arriving * stage.pace.num_steps)
        arriving += len(stage)
    return total


def _clock(seconds):
    """Returns seconds like `1:02:03` or `2:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{seconds:02}"
    return f"{minutes}:{seconds:02}"
