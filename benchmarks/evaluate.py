"""Compares evaluations with the authors' code and with Foolbox, and times them.

python3 -m venv .venv-compare
.venv-compare/bin/pip install -c constraints.txt -e .
.venv-compare/bin/pip install torch==2.14.1 foolbox==3.3.4
.venv-compare/bin/pip install --no-deps pyautoattack==0.2.0
.venv-compare/bin/python -m benchmarks.evaluate

pyautoattack is the authors' code of AutoAttack as a package. The networks are a
public one on Fashion-MNIST (`convex_network.py`), and a ResNet-18 of width 16
for images of 32x32 pixels, trained adversarially here; their weights are given
to twins in PyTorch.

Each library runs in a process of its own, on the same processor cores and with
as many threads. The processes take turns: one waits while the other one works.
Every round has new processes. A round is the first call in them, with all that
is compiled, and a second call. Lines of a table end with the seconds of the
other library as a multiple of those of this package.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys

from absl import app
from absl import flags

ATTACKS = "clean", "APGD-CE", "APGD-T", "FAB-T", "Square"

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["public", "resnet18"], "Networks.")
flags.DEFINE_list(
    "tables",
    ["autoattack", "foolbox", "cycles", "pieces", "memory"],
    "What to measure.",
)
flags.DEFINE_list(
    "radii",
    ["linf:0.1", "l2:1.5"],
    "Norms and radii of AutoAttack; the other attacks use the first one.",
)
flags.DEFINE_integer("images", 512, "Number of test images.")
flags.DEFINE_integer("batch_size", 128, "Images in each batch.")
flags.DEFINE_integer("rounds", 1, "How often AutoAttack and PGD are timed.")
flags.DEFINE_integer("threads", os.cpu_count(), "Cores and threads of each.")
flags.DEFINE_enum("device", "cpu", ["cpu", "gpu"], "Where to compute.")
flags.DEFINE_integer("steps", 100, "Steps of PGD beside Foolbox.")
flags.DEFINE_integer("restarts", 5, "Restarts of PGD beside Foolbox.")
flags.DEFINE_integer("cycle_steps", 1000, "Steps of PGD for `cycles`.")
flags.DEFINE_integer("cycle_images", 128, "Images for `cycles`.")
flags.DEFINE_list("memory_images", ["500", "10000"], "Images for `memory`.")
flags.DEFINE_string("folder", "/tmp/benchmarks_evaluate", "For the networks.")
flags.DEFINE_string(
    "data", None, "`.npz` file as Keras has it, instead of a download."
)
flags.DEFINE_integer("train_images", 12_000, "Images to train resnet18 with.")
flags.DEFINE_integer("epochs", 3, "Epochs of adversarial training.")


class Worker:
    """A process that makes evaluations when it is told to.

    Args:
        program: str. `"ours"` or `"official"`.
        network: str. The network to evaluate.
    """

    def __init__(self, program, network):
        settings = {
            "network": network,
            "folder": FLAGS.folder,
            "data": FLAGS.data,
            "images": FLAGS.images,
            "batch_size": FLAGS.batch_size,
            "threads": FLAGS.threads,
            "device": FLAGS.device,
            "train_images": FLAGS.train_images,
            "epochs": FLAGS.epochs,
        }
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["OMP_NUM_THREADS"] = str(FLAGS.threads)
        if FLAGS.device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        module = f"benchmarks.evaluate_{program}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def do(self, task, **arguments):
        """Returns the results of a task, a dict."""
        print(
            json.dumps([task, arguments]), file=self.process.stdin, flush=True
        )
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The process that made {task} has failed.")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Waits for the end of the process."""
        self.process.communicate()


def table(*names):
    """Prints the head of a table."""
    print(f"\n| {' | '.join(names)} |\n|{'---|' * len(names)}", flush=True)


def line(*cells):
    """Prints a line of a table."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def seconds(result):
    """Returns wall and processor time of a result as a text."""
    return f"{result['wall']:.2f} s ({result['processor']:.2f} s)"


def against(program, task, network, **arguments):
    """Yields results of this package and of another one, taking turns."""
    for _ in range(FLAGS.rounds):
        with Worker("ours", network) as ours, Worker(program, network) as other:
            for call in "first", "second":
                results = [
                    worker.do(task, **arguments) for worker in (ours, other)
                ]
                yield call, *results


def print_ratios(ratios):
    """Prints the medians of ratios, if there were several rounds."""
    for call, values in ratios.items():
        if len(values) > 1:
            median = statistics.median(values)
            print(f"\nMedian ratio of the {call} calls: {median:.2f}")


def compare(task, norm, epsilon, names, **arguments):
    """Prints a line for each network and call of each library."""
    for network in FLAGS.networks:
        ratios = {}
        for call, ours, other in against(
            "official", task, network, norm=norm, epsilon=epsilon, **arguments
        ):
            ratio = other["wall"] / ours["wall"]
            ratios.setdefault(call, []).append(ratio)
            for name, result in zip(names, (ours, other), strict=True):
                accuracies = (f"{100 * a:.2f}" for a in result["accuracies"])
                line(
                    f"{network}, {norm} {epsilon}",
                    f"{call}, {name}",
                    *accuracies,
                    result.get("compilations", ""),
                    f"{result['memory']:.0f} MB",
                    seconds(result),
                    f"{ratio:.2f}" if result is other else "",
                )
        print_ratios(ratios)


def radii():
    """Returns pairs of norm and radius."""
    pairs = (text.split(":") for text in FLAGS.radii)
    return [(norm, float(epsilon)) for norm, epsilon in pairs]


COLUMNS = "compilations", "peak memory", "wall (processor)", "ratio"


def autoattack():
    """Compares the standard version of AutoAttack with the authors' code."""
    for norm, epsilon in radii():
        table("network", "AutoAttack", *ATTACKS, *COLUMNS)
        compare("autoattack", norm, epsilon, ["keras_sat", "pyautoattack"])


def foolbox():
    """Compares PGD with that of Foolbox."""
    settings = {"steps": FLAGS.steps, "restarts": FLAGS.restarts}
    title = f"PGD-{FLAGS.steps}, restarts: {FLAGS.restarts}"
    table("network", title, "clean", "robust", *COLUMNS)
    names = ["keras_sat", "foolbox"]
    compare("pgd", *radii()[0], names, **settings)


def cycles():
    """Shows what it saves to stop at iterates that repeat themselves."""
    table("network", "robust", "all steps", "robust", "until a cycle", "ratio")
    norm, epsilon = radii()[0]
    for network in FLAGS.networks:
        with Worker("ours", network) as worker:
            whole, short = worker.do(
                "cycles",
                norm=norm,
                epsilon=epsilon,
                steps=FLAGS.cycle_steps,
                count=FLAGS.cycle_images,
            )
        line(
            network,
            f"{whole['accuracies'][-1]:.2%}",
            seconds(whole),
            f"{short['accuracies'][-1]:.2%}",
            seconds(short),
            f"{whole['processor'] / short['processor']:.2f}",
        )


def pieces():
    """Shows what it costs to interrupt an attack again and again."""
    table("network", "attack", "whole", "in pieces", "overhead (processor)")
    norm, epsilon = radii()[0]
    for network in FLAGS.networks:
        with Worker("ours", network) as worker:
            for attack in "apgd-ce", "square":
                whole, parts = worker.do(
                    "pieces", attack=attack, norm=norm, epsilon=epsilon
                )
                overhead = parts["processor"] / whole["processor"] - 1
                line(
                    network,
                    attack,
                    seconds(whole),
                    seconds(parts),
                    f"{overhead:+.1%}",
                )


def memory():
    """Shows that memory does not grow with the number of images."""
    table("images", "peak memory", "ratio")
    first = None
    for count in map(int, FLAGS.memory_images):
        with Worker("ours", "public") as worker:
            norm, epsilon = radii()[0]
            peak = worker.do("memory", norm=norm, epsilon=epsilon, count=count)[
                "memory"
            ]
        first = first or peak
        line(f"{count:,}", f"{peak:.0f} MB", f"{peak / first:.3f}")


TABLES = {
    "autoattack": autoattack,
    "foolbox": foolbox,
    "cycles": cycles,
    "pieces": pieces,
    "memory": memory,
}


def main(_):
    """Prints the tables."""
    pathlib.Path(FLAGS.folder).mkdir(parents=True, exist_ok=True)
    for network in FLAGS.networks:
        with Worker("ours", network) as worker:
            prepared = worker.do("prepare")
        print(f"{network}: {prepared['weights']:,} weights")
    for name in FLAGS.tables:
        TABLES[name]()


if __name__ == "__main__":
    app.run(main)
