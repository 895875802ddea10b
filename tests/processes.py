"""Programs that run in processes of their own, as strategies have to."""

import json
import multiprocessing
import os
import pathlib
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback

ROOT = pathlib.Path(__file__).parent.parent
# Its processes are copies of one that has imported TensorFlow, which takes as
# long as many a program, but has not used it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["keras_sat"])

# Those that the present test has started.
_STARTED = []


def _run(name, arguments, environment, output, errors):
    """Runs a program in this process, as if it had been started so."""
    for number, pipe in ((1, output), (2, errors)):
        os.dup2(pipe.fileno(), number)
        pipe.close()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(f"tests.programs.{name}", run_name="__main__")
    except KeyboardInterrupt:
        # As the interpreter itself ends.
        traceback.print_exc()
        sys.stdout.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)


class Program:
    """A process like those of `subprocess.Popen`, but there sooner."""

    def __init__(self, name, arguments, environment):
        readers, writers = zip(
            *(CONTEXT.Pipe(duplex=False) for _ in range(2)), strict=True
        )
        self._process = CONTEXT.Process(
            target=_run,
            args=(name, arguments, environment, *writers),
            daemon=True,
        )
        self._process.start()
        for writer in writers:
            writer.close()
        self.stdout, self.stderr = (
            os.fdopen(os.dup(reader.fileno()), "r") for reader in readers
        )

    @property
    def pid(self):
        """Its number."""
        return self._process.pid

    @property
    def returncode(self):
        """The exit code, minus the number of the signal that ended it."""
        return self._process.exitcode

    def poll(self):
        """The exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout=None):
        """The exit code, once it has ended."""
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode

    def send_signal(self, number):
        """As if somebody pressed a key, or took the machine away."""
        os.kill(self.pid, number)

    def kill(self):
        """Ends it at once."""
        self._process.kill()

    def communicate(self, timeout=None):
        """What it has written to its output and to its errors, at its end."""
        texts = {}

        def read(stream):
            with stream:
                texts[stream] = stream.read()

        streams = (self.stdout, self.stderr)
        readers = [threading.Thread(target=read, args=(s,)) for s in streams]
        for reader in readers:
            reader.start()
        self._process.join(timeout)
        late = self._process.is_alive()
        self.kill()
        for reader in readers:
            reader.join()
        if late:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return texts[self.stdout], texts[self.stderr]


def start(name, *arguments, **environment):
    """A process that runs `tests/programs/<name>.py`."""
    _STARTED.append(Program(name, arguments, os.environ | environment))
    return _STARTED[-1]


def start_anew(name, *arguments, **environment):
    """The same, where TensorFlow reads `environment` when it is imported."""
    return start_python(
        ("-m", f"tests.programs.{name}", *arguments), os.environ | environment
    )


def start_python(arguments, environment, errors=subprocess.PIPE):
    """A process of Python in the folder of the project."""
    _STARTED.append(
        subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    )
    return _STARTED[-1]


def end_all():
    """Ends what a test has left behind, as one does that fails half-way."""
    while _STARTED:
        process = _STARTED.pop()
        process.kill()
        process.wait()
        for stream in filter(None, (process.stdout, process.stderr)):
            stream.close()


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
