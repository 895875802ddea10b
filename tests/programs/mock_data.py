"""Runs a program with made-up images in place of prepared datasets."""

import runpy
import sys

import tensorflow_datasets as tfds

if __name__ == "__main__":
    del sys.argv[0]
    with tfds.testing.mock_data(num_examples=16):
        runpy.run_path(sys.argv[0], run_name="__main__")
