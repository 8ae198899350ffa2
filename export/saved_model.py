"""Exports a fine-tuned preset for TensorFlow Serving, and checks the export.

    python export/saved_model.py summaries/preset --output models/summarizer
    docker compose -f models/summarizer/compose.yaml up

The folder has numbered versions, sample server files and a README with one
request for each signature. `--help` lists the options: signatures, sampler,
data types, int8, LiteRT.
"""

import sys

from unilmv2_tf.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
