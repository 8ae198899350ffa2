"""The embedded corpus: docstrings read from the installed packages.

`extraction.py` and what it imports use the standard library alone, and import
each other relatively: it starts itself in bare Python processes, which must
not pay for importing TensorFlow.
"""
