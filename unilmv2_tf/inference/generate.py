"""The commands `unilmv2 generate` and `unilmv2 show-attention`."""

import dataclasses
from typing import Literal

from unilmv2_tf.samplers import PRESET_SAMPLER
from unilmv2_tf.samplers import SamplerArgs


def generate(
    preset: str,
    input: str = "-",
    output: str = "-",
    overwrite: bool = False,
    prefix: str = "",
    max_length: int | None = None,
    batch_size: int = 32,
    precision: Literal["float32", "bfloat16", "mixed_bfloat16", "float16"]
    | None = None,
    skip_misfits: bool = False,
    special_tokens_in_strings: bool | None = None,
    runner: str | None = None,
    runner_options: list[str] = [],  # noqa: B006
    sampler_args: SamplerArgs = PRESET_SAMPLER,
):
    """Generates a text for each text of a file or of stdin.

    Sources longer than the model's rows are cut, and counted. The results of
    beam and greedy depend on nothing but the source. Those of random, top_k and
    top_p depend on the seed, the batch size and the sources computed together
    (8 batches of a file, or what has arrived of a stream), so that the same
    command on the same file gives the same texts. The same command resumes an
    interrupted run; until it is complete the results are in OUTPUT.part.

    Args:
        preset: Preset folder of a UniLMv2Seq2SeqLM.
        input: Sources: .txt (one a line), .tsv (first column) or .jsonl (a
            string or a list of WordPieces under src); or - for stdin, where
            results appear as soon as the input pauses.
        output: Results: .txt (one a line) or .jsonl (the object of the source
            with the prediction); or - for stdout.
        overwrite: Whether to replace an existing output, finished or not.
        prefix: Text that every result begins with.
        max_length: Maximum length of a text in tokens, its end token included.
        batch_size: Number of texts computed at once.
        precision: Dtype policy of the computation.
        skip_misfits: Whether to skip invalid lines, with a warning. By default
            nothing is computed if there are any.
        special_tokens_in_strings: Whether special tokens such as [SEP] in
            texts are single tokens. Defaults to what the preset says.
        runner: An Apache Beam runner that computes the texts, such as
            DirectRunner or DataflowRunner. All its workers must see the preset
            and the folder of the output under the same paths.
        runner_options: Beam pipeline options, such as
            ["--direct_num_workers=4"].
        sampler_args: Options of the sampler.
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.inference.file_jobs import find_kind
    from unilmv2_tf.inference.file_jobs import run_job

    if max_length is not None and max_length < 1:
        raise ValueError(
            f"`max_length` must be at least 1. Received: {max_length=}"
        )
    find_kind(preset, "generate")
    job = GenerateJob(
        preset,
        batch_size,
        precision,
        prefix,
        max_length,
        special_tokens_in_strings,
        sampler_args,
    )
    run_job(
        *(job, input, output, overwrite, skip_misfits, runner, runner_options)
    )


@dataclasses.dataclass
class GenerateJob:
    """Generates texts, see `file_jobs`."""

    preset: str
    batch_size: int
    precision: str | None
    prefix: str
    max_length: int | None
    special_tokens_in_strings: bool | None
    sampler_args: SamplerArgs

    columns = (("src",),)
    may_be_empty = True
    stream_format = ".txt"
    extensions = (".txt", ".jsonl")
    label, unit = "generating", "texts"

    def load(self, output, items=None):
        from unilmv2_tf.inference.file_jobs import load_model
        from unilmv2_tf.inference.item_files import item_text
        from unilmv2_tf.preprocessing.tokenizer import note_special_tokens

        self.model = load_model(
            self.preset,
            "generate",
            self.precision,
            self.special_tokens_in_strings,
        )
        preprocessor = self.model.preprocessor
        sources = [item_text(item, "src") for item in items or ()]
        note_special_tokens(preprocessor.tokenizer, sources, "sources")
        self.sampler = self.sampler_args.make_sampler(
            self.model.sampler, preprocessor.tokenizer
        )
        _check_lengths(preprocessor, self.sampler, self.prefix, self.max_length)
        self.model.compile(sampler=self.sampler)
        self.num_cut = 0
        num_texts = getattr(self.sampler, "num_return_sequences", 1)
        self.line = _text_line
        if output.lower().endswith(".jsonl"):
            self.line = _json_line
        elif num_texts > 1 and output.lower().endswith(".txt"):
            raise ValueError(
                "Several texts for a source don't fit in one line. Received: "
                f"output={output}, num_return_sequences={num_texts}. Write "
                "them to .jsonl or to stdout"
            )
        elif num_texts > 1:
            self.line = _ranked_lines

    def process(self, items, index):
        from unilmv2_tf.inference.file_jobs import count_longer
        from unilmv2_tf.inference.item_files import item_text

        preprocessor = self.model.preprocessor
        sources = [item_text(item, "src") for item in items]
        longest = preprocessor.encoder_sequence_length - 2
        self.num_cut += count_longer([sources], preprocessor.tokenizer, longest)
        _reseed(self.sampler, index)
        outputs = self.model.generate(
            {
                "encoder_text": sources,
                "decoder_text": [self.prefix] * len(sources),
            },
            max_length=self.max_length,
            batch_size=self.batch_size,
        )
        if not isinstance(outputs, dict):
            return [[(text, None)] for text in outputs]
        return [
            list(zip(texts, map(float, scores)))
            for texts, scores in zip(
                outputs["generated_text"], outputs["scores"]
            )
        ]


def _check_lengths(preprocessor, sampler, prefix, max_length):
    longest = max_length or preprocessor.decoder_sequence_length
    length = len(preprocessor.tokenizer(prefix))
    if length >= longest:
        raise ValueError(
            "`prefix` must leave room for a text. Received: prefix="
            f"{prefix!r}, {length} tokens, of at most {longest}"
        )
    min_length = getattr(sampler, "min_length", 0)
    if min_length >= longest:
        raise ValueError(
            "`min_length` must leave room for the end of a text. Received: "
            f"min_length={min_length}, and at most {longest} tokens "
            "(`max_length`)"
        )


def _reseed(sampler, index):
    """Makes the random numbers a function of the seed and the first item."""
    import numpy as np

    for position, state in enumerate(sampler.variables):
        seeds = np.random.SeedSequence([sampler.seed, index, position])
        state.assign(seeds.generate_state(2))


def _text_line(item, results):
    return results[0][0] + "\n"


def _json_line(item, results):
    from unilmv2_tf.inference.item_files import json_line

    item = {**item, "prediction": results[0][0]}
    if len(results) > 1:
        item["predictions"] = [
            {"text": text, "score": round(score, 6)} for text, score in results
        ]
    return json_line(item)


def _ranked_lines(item, results):
    """The source, its texts with their scores, and an empty line."""
    from unilmv2_tf.inference.item_files import item_text
    from unilmv2_tf.preprocessing.text_cleaning import plain_text

    scores = [f"{score:.3f}" for _, score in results]
    width = max(map(len, scores))
    lines = [
        f"  {score:>{width}}  {text}".rstrip()
        for (text, _), score in zip(results, scores)
    ]
    source = plain_text(item_text(item, "src"))
    return "\n".join([source, *lines]) + "\n\n"


def show_attention(
    preset: str,
    text: str,
    target: str | None = None,
    output: str = "attention.png",
    layer: int = -1,
    head: int | None = None,
):
    """Draws the attention of a generated text to its source.

    Args:
        preset: Preset folder of a UniLMv2Seq2SeqLM.
        text: Source.
        target: Text whose tokens are shown. By default the model generates it.
        output: Picture to write (PNG).
        layer: Index of the transformer layer; negative ones count from the
            last.
        head: Index of the attention head. By default the mean of all heads.
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.inference.file_jobs import load_model
    from unilmv2_tf.plots import plot_attention

    model = load_model(preset, "generate")
    figure = plot_attention(model, text, target, layer, head, path=output)
    tokens = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    print(" ".join(tokens))
    print(f"written to {output}")
