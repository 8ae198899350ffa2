"""For tools that still look for it; the settings are in `pyproject.toml`."""

from setuptools import setup

setup()
