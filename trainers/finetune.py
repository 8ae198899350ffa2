"""Fine-tunes UniLMv2 for one of its tasks.

Text to text, classification, question answering:

    python trainers/finetune.py seq2seq --config xsum --preset PRESET \
      --output xsum
    python trainers/finetune.py classify --config sst2 --preset PRESET \
      --output sst2
    python trainers/finetune.py answer --config squad2 --preset PRESET \
      --output squad2

PRESET is a preset folder: from pre-training (`run/preset`) or from
`unilmv2 convert`. All GPUs of a machine: `--strategy mirrored --precision
mixed_bfloat16`. A TPU: `--strategy tpu`. The same command resumes an
interrupted run.
"""

import sys

from unilmv2_tf.cli import main

if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
