"""What the processes of `evaluate.py` share: tasks, cores and clocks."""

import json
import os
import resource
import sys
import time


def settings():
    """Returns the settings that the process was given, a dict."""
    return json.loads(sys.argv[1])


def use_cores(count):
    """Restricts this process to some of its processor cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:count])


def serve(tasks):
    """Makes the tasks whose names and arguments arrive, line by line.

    Args:
        tasks: dict from names to functions that return what JSON can hold.
    """
    # Libraries may print what they like: the answers have a way of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for text in sys.stdin:
        name, arguments = json.loads(text)
        print(json.dumps(tasks[name](**arguments)), file=answers, flush=True)


def timed(function):
    """Returns the dict that a function returns, with the time it took.

    Beside the seconds of wall and processor time, it has the peak memory of the
    process so far, in MB.
    """
    wall, processor = time.perf_counter(), time.process_time()
    result = function()
    return {
        **result,
        "wall": time.perf_counter() - wall,
        "processor": time.process_time() - processor,
        "memory": peak_memory(),
    }


def peak_memory():
    """Returns the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
