"""`unilmv2 vocabulary` and `unilmv2 prepare`: from text to token shards."""

import importlib
import os

from unilmv2_tf.datasets import load_documents
from unilmv2_tf.datasets.shard_plan import num_bytes_of
from unilmv2_tf.datasets.shard_plan import plan_shards
from unilmv2_tf.datasets.shard_writing import SHARDS_PER_VALIDATION_SHARD
from unilmv2_tf.datasets.shard_writing import write_token_shards
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary
from unilmv2_tf.progress import Progress


def prepare(
    sources: list[str] | str,
    vocabulary: str,
    output: str,
    sequence_length: int = 512,
    validation_share: float = 0.01,
    lowercase: bool = True,
    num_workers: int | None = None,
    runner: str | None = None,
    runner_options: list[str] = [],  # noqa: B006
    data_dir: str | None = None,
    text_key: str = "text",
    overwrite: bool = False,
):
    """Tokenizes text into rows of token ids, in shards, for pre-training.

    Args:
        sources: Text, one source or a list: files (.txt, .jsonl, .tsv,
            globs), tfds:NAME/CONFIG:SPLIT for a prepared corpus of TensorFlow
            Datasets, or docstrings: for the embedded corpus.
        vocabulary: A file with one token a line, or the folder of a preset.
        output: The folder to write.
        sequence_length: The length of the rows in tokens.
        validation_share: The share of documents held out for validation; 0 for
            no validation split.
        lowercase: Whether to lowercase the text; a preset has its own setting.
        num_workers: The number of processes. The default is the number of
            cores.
        runner: An Apache Beam runner to use instead of processes, such as
            DirectRunner or DataflowRunner. All its workers must see the
            sources and the output under the same paths.
        runner_options: Beam pipeline options, such as
            ["--direct_num_workers=4"].
        data_dir: The data folder of TensorFlow Datasets.
        text_key: The text feature of TensorFlow Datasets.
        overwrite: Whether to replace an existing output.

    Returns:
        A dict of counts, which is also in `statistics.json`.
    """
    if num_workers is None:
        num_workers = len(os.sched_getaffinity(0))
    tokenizer = _load_tokenizer(vocabulary, lowercase)
    plan = plan_shards(sources, data_dir, text_key)
    num_shards, num_passes = len(plan), 1
    if validation_share:
        num_shards += -(-len(plan) // SHARDS_PER_VALIDATION_SHARD)
        num_passes = 2
    megabytes = num_passes * sum(map(num_bytes_of, plan)) / 1e6
    progress = Progress(
        "preparing",
        num_shards,
        examples_per_step=megabytes / max(num_shards, 1),
        unit="MB",
        step_unit="shards",
        is_shown=runner is None,
    )
    with progress:
        statistics = write_token_shards(
            plan,
            tokenizer,
            output,
            sequence_length=sequence_length,
            validation_share=validation_share,
            num_workers=num_workers,
            runner=runner,
            runner_options=runner_options,
            overwrite=overwrite,
            on_shard=progress.advance,
        )
    for split, counts in statistics["splits"].items():
        print(
            f"{split}: {counts['documents']:,} documents, "
            f"{counts['tokens']:,} tokens "
            f"({counts['unknown_share']:.2%} unknown) in {counts['rows']:,} "
            f"rows of {counts['tokens_per_row']:.1f} tokens; padding "
            f"{counts['padding_share']:.2%}; {counts['shards']:,} shards"
        )
    for source, counts in statistics["sources"].items():
        print(
            f"{source}: {counts['documents']:,} documents, "
            f"{counts['bytes'] / 1e6:,.1f} MB of text"
        )
    return statistics


def _load_tokenizer(vocabulary, lowercase):
    if os.path.isdir(vocabulary):
        # A preset names the class of its backbone, which Keras has to know.
        importlib.import_module("unilmv2_tf.models")
        return UniLMv2Tokenizer.from_preset(vocabulary)
    return UniLMv2Tokenizer(load_vocabulary(vocabulary), lowercase=lowercase)


def vocabulary(
    sources: list[str] | str,
    output: str = "vocabulary.txt",
    vocabulary_size: int = 8000,
    lowercase: bool = True,
):
    """Learns a WordPiece vocabulary from text.

    Args:
        sources: Text to learn from, one source or a list: files (.txt,
            .jsonl, .tsv, globs), tfds:NAME/CONFIG:SPLIT, or docstrings: for
            the embedded corpus.
        output: The file to write, one token a line.
        vocabulary_size: The maximum number of tokens.
        lowercase: Whether to lowercase the text.
    """
    tokens = learn_vocabulary(
        load_documents(sources),
        vocabulary_size=vocabulary_size,
        lowercase=lowercase,
    )
    save_vocabulary(tokens, output)
    print(f"{len(tokens):,} tokens written to {output}")
