"""The embedded corpus: docstrings read from the installed packages.

The modules here use the standard library alone, and import each other
relatively: `extraction.py` starts them in bare Python processes, which must
not pay for importing TensorFlow.
"""
