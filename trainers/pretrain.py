"""Pre-trains UniLMv2 on token shards.

One machine, one device:

    unilmv2 prepare 'corpus/*.txt' vocabulary.txt shards --sequence_length 512
    python trainers/pretrain.py --config base --data shards --output run

All GPUs of a machine:

    python trainers/pretrain.py --config base --data shards --output run \
      --strategy mirrored --precision mixed_bfloat16

Several machines: the same command on each, with its own index, and folders that
all of them share:

    export TF_CONFIG='{"cluster": {"worker": ["10.0.0.1:2222",
      "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 0}}'
    python trainers/pretrain.py --config base --data /shared/shards \
      --output /shared/run --strategy multiworker

A TPU (TensorFlow 2.20 is the last version for Cloud TPUs):

    python trainers/pretrain.py --config base --data shards --output run \
      --strategy tpu --tpu local

The same command resumes an interrupted run. `--config` takes a recipe's name
(`unilmv2_tf/recipes/pretrain`) or a YAML file; `--help` lists all options.
"""

import sys

from unilmv2_tf.cli import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
