"""Evaluates a small network with XLA, and keeps what is compiled.

Its only argument is the folder. It prints the outcomes of the evaluation.
"""

import sys

import numpy as np

import keras_sat
from keras_sat import distribution


def main():
    folder = distribution.keep_compilations(sys.argv[1])
    print(folder)
    from tests.attacks import problems

    model, images, labels = problems.network()
    report = keras_sat.evaluate_robustness(
        model,
        (images[:8], labels[:8]),
        [keras_sat.PGD(steps=2, step_size=0.01, random_start=False)],
        jit_compile=True,
        diagnose=False,
        verbose=0,
    )
    print(np.array2string(report.outcomes))
    try:
        distribution.keep_compilations(sys.argv[1])
    except RuntimeError as error:
        print(error)


if __name__ == "__main__":
    main()
