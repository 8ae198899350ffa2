"""Docstrings of installed packages as clean text.

Extraction starts itself in bare Python processes, which must not import
TensorFlow: so this folder imports the standard library alone, and itself
relatively.
"""
