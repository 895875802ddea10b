"""Signals that ask a process to end, noted until it has saved its work."""

import contextlib
import os
import signal
import threading

_INTERRUPTED = (
    b"\nTraining is saved after this step and ends; Ctrl-C ends it at once.\n"
)


class StopSignals:
    """Notes SIGTERM and SIGINT, which else would end the process at once.

    The attribute `received` is the number of the signal, or `None`.
    """

    def __init__(self):
        self.received = None

    @contextlib.contextmanager
    def noted(self):
        """Notes signals within this context, as far as Python permits it.

        Python handles signals in the main thread only: in another thread they
        are not noted. The handler that a user has set for SIGINT stays.

        Raises:
            KeyboardInterrupt: On a second SIGINT.
        """
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {signal.SIGTERM: signal.signal(signal.SIGTERM, self._note)}
        # A user who set another handler, or ignores the signal, wants that.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number, frame):
        """Handles a signal."""
        if number == signal.SIGINT:
            if self.received == number:
                signal.default_int_handler(number, frame)
            # Not by `print`, in the middle of which the signal may have come.
            with contextlib.suppress(OSError):
                os.write(2, _INTERRUPTED)
        self.received = number
