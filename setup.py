"""Lets older tools install the package; everything else is in setup.cfg."""

import setuptools

setuptools.setup()
