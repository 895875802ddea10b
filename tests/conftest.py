"""Settings that must be in place before TensorFlow is imported."""

import os
import signal
import threading

if threading.current_thread() is threading.main_thread():
    # Whoever starts tests in the background may have Ctrl-C ignored, which
    # processes hand on.
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # noqa: E402
import pytest  # noqa: E402

from tests import processes  # noqa: E402


@pytest.fixture(autouse=True)
def independent_of_other_tests():
    """Gives each test the same seeds, state and formats, and no process."""
    keras.utils.set_random_seed(0)
    yield
    processes.end_all()
    keras.config.set_dtype_policy("float32")
    keras.utils.clear_session(free_memory=False)
