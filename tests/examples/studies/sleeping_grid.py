"""Works on a grid of runs that only sleep: `folder arms seeds seconds`."""

import sys
import time

from study import grid

COLUMNS = ("arm", "seed", "clean_accuracy", "robust_accuracy", "seconds")


def made(folder, arms, columns=COLUMNS):
    """Returns the grid of these runs."""
    header = {"study": "sleep", "arms": list(arms)}
    return grid.Grid(f"{folder}/sleep", f"{folder}/sleep.csv", columns, header)


def row(arm, seed, seconds=0.0):
    """Returns a row whose numbers depend on arm and seed alone."""
    share = (len(arm) + seed) / 37
    numbers = {"clean_accuracy": share, "robust_accuracy": share / 3}
    return {"arm": arm, "seed": seed, **numbers, "seconds": seconds}


def main(folder, arms, seeds, seconds):
    """Does the runs, and notes each beginning in a file."""
    arms = arms.split(",")

    def compute(arm, seed):
        with open(f"{folder}/begun", "a") as file:
            file.write(f"{arm}-{seed}\n")
        time.sleep(float(seconds))
        return row(arm, seed, float(seconds))

    runs = [(arm, seed) for seed in range(int(seeds)) for arm in arms]
    made(folder, arms).work(runs, compute, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
