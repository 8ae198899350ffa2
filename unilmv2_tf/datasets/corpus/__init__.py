"""Docstrings of installed packages as clean text."""
