"""Decoding of several tokens a pass beside greedy decoding.

Takes models that `unilmv2 finetune seq2seq` made, such as one with
`--block_probability 0.5` and one without:

    python -m benchmarks.parallel_decoding NAME=PRESET ...

The stored figures are of `unilmv2_tiny` from random weights, a vocabulary of
8,000, `unilmv2 finetune seq2seq --config docstring_arguments --epochs 2
--num_examples 12000 --learning_rate 1e-3 --num_beams 1 --block_probability 0.5`
and no dropout.
Each sampler is timed in turn with greedy decoding, several times; the ratio of
the medians is reported.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.report import write_results
from unilmv2_tf import PartiallyAutoregressiveSampler
from unilmv2_tf.evaluation import score_texts
from unilmv2_tf.inference.model import load_generator
from unilmv2_tf.training.finetuning import pairs

BLOCK_SIZES = (1, 2, 4, 8)
CONFIDENCES = (1.0, 0.5, 0.3)


class Decoding:
    """A model with one sampler, on a number of sources.

    Args:
        preset: string. The folder of a `UniLMv2Seq2SeqLM`.
        sampler: a sampler, or its name.
        rows: the dict of arrays that a preprocessor makes of the sources.
        batch_size: int.
    """

    def __init__(self, model, sampler, rows, batch_size):
        self.model, self.rows, self.batch_size = model, rows, batch_size
        model.compile(sampler=sampler)
        self.sampler = model.sampler
        self.function = model.make_generate_function()
        self.outputs = self()

    def __call__(self):
        """Generates for all sources."""
        end = (self.model.preprocessor.tokenizer.end_token_id,)
        # Which sampler is traced is decided when a function is called first.
        self.model.sampler = self.sampler
        starts = range(0, len(self.rows["encoder_token_ids"]), self.batch_size)
        batches = [
            self.function(
                {
                    name: x[start : start + self.batch_size]
                    for name, x in self.rows.items()
                },
                stop_token_ids=end,
            )
            for start in starts
        ]
        return {
            name: np.concatenate([np.asarray(batch[name]) for batch in batches])
            for name in batches[0]
        }

    def texts(self):
        """The texts as strings."""
        outputs = {
            name: self.outputs[name]
            for name in ("decoder_token_ids", "decoder_padding_mask")
        }
        return self.model.preprocessor.generate_postprocess(outputs)

    def seconds(self):
        """How long all sources take."""
        start = time.perf_counter()
        self()
        return time.perf_counter() - start


def measure(preset, examples, arguments):
    """All samplers on one model."""
    model = load_generator(preset)
    rows = {
        name: np.asarray(x)
        for name, x in model.preprocessor.generate_preprocess(
            examples.source_texts()
        ).items()
    }
    # As wide as the longest source, as `generate()` would have it.
    width = int(rows["encoder_padding_mask"].sum(axis=1).max())
    rows = {
        name: x[:, :width] if name.startswith("encoder") else x
        for name, x in rows.items()
    }
    references = examples.target_texts()
    greedy = Decoding(model, "greedy", rows, arguments.batch_size)
    results = [{"sampler": "greedy", **quality(greedy, greedy, references)}]
    for block_size in BLOCK_SIZES:
        for min_confidence in CONFIDENCES if block_size > 1 else (1.0,):
            sampler = PartiallyAutoregressiveSampler(
                block_size, min_confidence, return_num_passes=True
            )
            decoding = Decoding(model, sampler, rows, arguments.batch_size)
            results.append(
                {
                    "sampler": "par",
                    "block_size": block_size,
                    "min_confidence": min_confidence,
                    "tokens_per_pass": tokens_per_pass(decoding),
                    **quality(decoding, greedy, references),
                    **times(decoding, greedy, arguments.rounds),
                }
            )
            print(json.dumps(results[-1]), flush=True)
    return results


def quality(decoding, greedy, references):
    """Scores, and the share of texts that greedy decoding finds, too."""
    texts, others = decoding.texts(), greedy.texts()
    same = [text == other for text, other in zip(texts, others)]
    mask = decoding.outputs["decoder_padding_mask"]
    return {
        "rougeL": score_texts(texts, references, ["rougeL"])["rougeL"],
        "same_as_greedy": float(np.mean(same)),
        "tokens_per_text": float(mask.sum(axis=1).mean()),
    }


def tokens_per_pass(decoding):
    """Of a text, on average over all passes."""
    num_tokens = decoding.outputs["decoder_padding_mask"].sum()
    return float(num_tokens / decoding.outputs["num_passes"].sum())


def times(decoding, greedy, rounds):
    """Both in turn."""
    seconds = [(decoding.seconds(), greedy.seconds()) for _ in range(rounds)]
    one, other = (statistics.median(column) for column in zip(*seconds))
    return {
        "seconds": round(one, 4),
        "greedy_seconds": round(other, 4),
        "time_of_greedy": round(one / other, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="+", metavar="NAME=PRESET")
    parser.add_argument("--data", default="docstrings:arguments")
    parser.add_argument("--num_texts", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    examples = pairs.read(arguments.data, "validation")
    examples = examples.spread(arguments.num_texts)
    models = {}
    for model in arguments.models:
        name, _, preset = model.partition("=")
        models[name] = measure(preset, examples, arguments)
    settings = {
        key: getattr(arguments, key)
        for key in ("data", "num_texts", "batch_size", "rounds")
    }
    write_results("parallel_decoding", {**settings, "models": models})


if __name__ == "__main__":
    main()
