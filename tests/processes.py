"""Programs that run in processes of their own, as strategies have to."""

import json
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent


def start(program, *arguments, **environment):
    """A process that runs `tests/programs/<program>.py`."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.programs.{program}", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0, seconds=240):
    """The output and the errors of a process that ends with `code`."""
    try:
        output, errors = process.communicate(timeout=seconds)
    finally:
        process.kill()
    if process.returncode != code:
        raise AssertionError(
            f"The code was {process.returncode}, not {code}:\n{errors[-4000:]}"
        )
    return output, errors


def environments(count=2):
    """The environment variables of workers that find each other."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    for i in range(count):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": i},
        }
        yield {"TF_CONFIG": json.dumps(config)}


def start_workers(program, *arguments):
    """Two processes that find each other; `{i}` stands for their number."""
    processes = []
    for i, environment in enumerate(environments()):
        own = [argument.replace("{i}", str(i)) for argument in arguments]
        processes.append(start(program, *own, **environment))
    return processes
