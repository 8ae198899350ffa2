"""Any corpus into packed rows in sharded files."""

import dataclasses
import importlib
import os
import time

from unilmv2_tf.datasets.packed.units import num_bytes_of
from unilmv2_tf.datasets.packed.units import plan_units
from unilmv2_tf.datasets.packed.writing import UNITS_PER_VALIDATION_SHARD
from unilmv2_tf.datasets.packed.writing import write_packed_folder
from unilmv2_tf.preprocessing.packing import PackingStatistics
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
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
    """Packs text into rows of tokens, in sharded files, for pre-training.

    Args:
        sources: Text, one source or a list: files (.txt, .jsonl, .tsv,
            globs), tfds:NAME/CONFIG:SPLIT for a prepared corpus of TensorFlow
            Datasets, or docstrings: for the embedded corpus.
        vocabulary: A file with one token a line, or the folder of a preset.
        output: The folder to write.
        sequence_length: The length of the rows.
        validation_share: The share of documents that are held out; 0 for no
            validation split.
        lowercase: Whether the text is lowercased; a preset knows by itself.
        num_workers: How many processes work, as many as there are cores if
            it is not given.
        runner: An Apache Beam runner that does the work instead, such as
            DirectRunner or DataflowRunner. All its workers must see the
            sources and the output under the same paths.
        runner_options: Options of Beam's pipeline, such as
            ["--direct_num_workers=4"].
        data_dir: Where TensorFlow Datasets keeps its data.
        text_key: The feature of TensorFlow Datasets that holds the text.
        overwrite: Whether to replace an output that is there.

    Returns:
        A dict of what was counted.

    Example:

    >>> import os, tempfile
    >>> from unilmv2_tf.datasets.prepare import prepare
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = {name: os.path.join(folder, name) for name in "tvo"}
    ...     with open(path["v"], "w") as file:
    ...         _ = file.write("[PAD] [UNK] [CLS] [SEP] [MASK] a b".replace(
    ...             " ", chr(10)))
    ...     text = path["t"] + ".txt"
    ...     with open(text, "w") as file:
    ...         _ = file.write("a b\\n\\nb a b")
    ...     statistics = prepare(
    ...         text, path["v"], path["o"], sequence_length=8,
    ...         validation_share=0, num_workers=1)
    train: 2 documents, 5 tokens (0.00% unknown) in 1 rows; padding 0.00%;
    1 shards
    ...
    """
    if num_workers is None:
        num_workers = len(os.sched_getaffinity(0))
    tokenizer = _load_tokenizer(vocabulary, lowercase)
    units = plan_units(sources, data_dir, text_key)
    with _Bars(units, validation_share, is_hidden=runner is not None) as bars:
        statistics = write_packed_folder(
            units,
            tokenizer,
            output,
            sequence_length=sequence_length,
            validation_share=validation_share,
            num_workers=num_workers,
            runner=runner,
            runner_options=runner_options,
            overwrite=overwrite,
            on_shard=bars.advance,
        )
    for split, counted in statistics["splits"].items():
        print(f"{split}: {_described(counted)}")
    for source, counted in statistics["sources"].items():
        print(
            f"{source}: {counted['documents']:,} documents, "
            f"{counted['bytes'] / 1e6:,.1f} MB of text"
        )
    print(f"{output}: {statistics['tokens_per_row']:.1f} tokens a row")
    return statistics


def _load_tokenizer(vocabulary, lowercase):
    if os.path.isdir(vocabulary):
        # A preset names the class of its backbone, which Keras has to know.
        importlib.import_module("unilmv2_tf.models")
        return UniLMv2Tokenizer.from_preset(vocabulary)
    return UniLMv2Tokenizer(load_vocabulary(vocabulary), lowercase=lowercase)


def _described(counted):
    names = [field.name for field in dataclasses.fields(PackingStatistics)]
    statistics = PackingStatistics(**{name: counted[name] for name in names})
    return f"{statistics}; {counted['shards']:,} shards"


class _Bars:
    """A progress bar for each split."""

    def __init__(self, units, validation_share, is_hidden):
        megabytes = sum(map(num_bytes_of, units)) / 1e6
        self._totals = {}
        if validation_share and not is_hidden:
            self._totals["validation"] = -(
                -len(units) // UNITS_PER_VALIDATION_SHARD
            )
        if not is_hidden:
            self._totals["train"] = len(units)
        self._megabytes = megabytes
        self._bar = None

    def __enter__(self):
        self._open_next()
        return self

    def __exit__(self, *error):
        if self._bar:
            self._bar.__exit__(*error)

    def advance(self, job, rows):
        del job
        self._num_tokens += rows.size
        seconds = time.monotonic() - self._start
        self._bar.advance({"tokens/s": self._num_tokens / seconds})
        if self._bar.step == self._bar.num_steps:
            self._bar.__exit__()
            self._open_next()

    def _open_next(self):
        self._bar = None
        if not self._totals:
            return
        split = next(iter(self._totals))
        num_shards = self._totals.pop(split)
        self._num_tokens = 0
        self._start = time.monotonic()
        self._bar = Progress(
            f"packing {split}",
            num_shards,
            examples_per_step=self._megabytes / num_shards,
            unit="MB",
        )
        self._bar.__enter__()
