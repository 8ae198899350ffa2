"""Repeats an export's check on the machine that serves it.

    python export/check.py models/summarizer

Runs every signature in a process without unilmv2_tf, Keras and KerasHub, and
compares with the live model's answers, which are stored in the export.
"""

import sys

from unilmv2_tf.cli import main

if __name__ == "__main__":
    sys.exit(main(["check-export", *sys.argv[1:]]))
