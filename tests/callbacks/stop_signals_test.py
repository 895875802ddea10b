"""Tests of signals that are noted while work is saved."""

import signal
import threading

from keras_sat.callbacks.stop_signals import StopSignals
from tests.test_case import TestCase


class StopSignalsTest(TestCase):
    """Sends signals to this process; see also `resume_test.py`."""

    def setUp(self):
        super().setUp()
        self.signals = StopSignals()
        self.before = self.handlers()

    def handlers(self):
        return [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    def test_a_signal_is_noted_and_ends_nothing(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.signals.noted():
                self.assertIsNone(self.signals.received)
                signal.raise_signal(number)
                self.assertEqual(self.signals.received, number)
            self.assertEqual(self.handlers(), self.before)

    def test_a_second_ctrl_c_is_raised(self):
        with self.assertRaises(KeyboardInterrupt):
            with self.signals.noted():
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
        self.assertEqual(self.handlers(), self.before)

    def test_whoever_ignores_ctrl_c_goes_on_ignoring_it(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with self.signals.noted():
                signal.raise_signal(signal.SIGINT)
                self.assertIsNone(self.signals.received)
        finally:
            signal.signal(signal.SIGINT, before)

    def test_in_another_thread_all_handlers_stay(self):
        seen = []

        def run():
            with self.signals.noted():
                seen.append(self.handlers())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(seen, [self.before])
