"""The commands `unilmv2 generate` and `unilmv2 show-attention`."""

import dataclasses
import json
import sys
from typing import Literal

from unilmv2_tf.samplers import PRESET_SAMPLER
from unilmv2_tf.samplers import SamplerArgs

# Sources that are generated for, and written, at once.
_BATCHES_PER_CHUNK = 8


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
        sampler_args: Options of the sampler.

    Raises:
        ValueError: if a setting is out of range, the preset holds another
            model, a line of the input is invalid, or the output exists.
        FileNotFoundError: if there is no such file.

    Example:

    ```python
    generate("run/preset", "articles.txt", "summaries.txt",
             sampler_args=SamplerArgs(num_beams=4))
    ```
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.filesystem import folder_checksum
    from unilmv2_tf.inference import item_files

    for name, value in (("batch_size", batch_size), ("max_length", max_length)):
        if value is not None and value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
    # 1. Output and input are checked before the model loads.
    is_file = output != item_files.STREAM
    if is_file:
        item_files.check_output(output, overwrite)
    checksum, items = None, None
    if input != item_files.STREAM:
        checksum, items = item_files.read_items(input)
    num_items = None if items is None else len(items)

    # 2. The model, with its sampler.
    model = load_generator(preset, precision)
    tokenizer = model.preprocessor.tokenizer
    sampler = sampler_args.make_sampler(model.sampler, tokenizer)
    _check_lengths(model.preprocessor, sampler, prefix, max_length)
    model.compile(sampler=sampler)
    is_ranked = getattr(sampler, "num_return_sequences", 1) > 1
    chunk_size = _BATCHES_PER_CHUNK * batch_size

    # 3. The writer, which knows where an interrupted run stopped.
    if not is_file:
        format_lines = _ranked_lines if is_ranked else _text_line
        writer = item_files.StdoutWriter(format_lines)
    elif is_ranked and output.lower().endswith(".txt"):
        raise ValueError(
            "Several texts for a source don't fit in one line. Received: "
            f"output={output}, num_return_sequences="
            f"{sampler.num_return_sequences}. Write them to .jsonl or to stdout"
        )
    else:
        is_text = output.lower().endswith(".txt")
        settings = {
            **dataclasses.asdict(sampler_args),
            "prefix": prefix,
            "max_length": max_length,
            "batch_size": batch_size,
            "precision": precision,
            "preset": folder_checksum(preset),
            "input": checksum,
        }
        writer = item_files.ResumableWriter(
            output,
            _text_line if is_text else _json_line,
            settings,
            num_items,
            chunk_size,
            overwrite,
        )

    # 4. The texts, chunk by chunk.
    if items is not None:
        starts = range(0, len(items), chunk_size)
        chunks = (items[start : start + chunk_size] for start in starts)
    else:
        if sys.stdin.isatty():
            print("One text a line; Ctrl-D ends.", file=sys.stderr)
        chunks = item_files.stream_items(sys.stdin.fileno(), chunk_size)
    num_cut = 0

    def process(items, index):
        nonlocal num_cut
        sources = [item_files.item_text(item) for item in items]
        num_cut += _count_cut(sources, model.preprocessor)
        _reseed(sampler, index)
        outputs = model.generate(
            {"encoder_text": sources, "decoder_text": [prefix] * len(sources)},
            max_length=max_length,
            batch_size=batch_size,
        )
        if not isinstance(outputs, dict):
            return [[(text, None)] for text in outputs]
        return [
            list(zip(texts, map(float, scores)))
            for texts, scores in zip(
                outputs["generated_text"], outputs["scores"]
            )
        ]

    with writer:
        num_done = item_files.process_items(
            chunks, process, writer, num_items, "generating"
        )
        if num_cut:
            longest = model.preprocessor.encoder_sequence_length
            print(
                f"{num_cut} of {num_done - writer.num_done} sources are longer "
                f"than {longest} tokens, the model's maximum, and were cut",
                file=sys.stderr,
            )
    if is_file:
        print(f"{num_done} texts written to {output}")


def load_generator(preset, precision=None):
    """Loads a `UniLMv2Seq2SeqLM` with a preprocessor."""
    from unilmv2_tf.models import UniLMv2Seq2SeqLM
    from unilmv2_tf.models.task import load_task

    model = load_task(preset, **({"dtype": precision} if precision else {}))
    if not isinstance(model, UniLMv2Seq2SeqLM):
        raise ValueError(
            "`preset` must hold a UniLMv2Seq2SeqLM. Received: preset="
            f"{preset}, a {type(model).__name__}. Fine-tune one from it with "
            "unilmv2 finetune seq2seq"
        )
    if model.preprocessor is None:
        raise ValueError(
            "`preset` must hold a preprocessor. Received: preset="
            f"{preset}, of a model that takes integers"
        )
    return model


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


def _count_cut(sources, preprocessor):
    longest = preprocessor.encoder_sequence_length - 2
    # A token has at least one character: most texts need not be tokenized.
    sources = [text for text in sources if len(text) > longest]
    if not sources:
        return 0
    return sum(len(row) > longest for row in preprocessor.tokenizer(sources))


def _reseed(sampler, index):
    """Makes the random numbers a function of the seed and the first item."""
    import numpy as np

    for position, state in enumerate(sampler.variables):
        seeds = np.random.SeedSequence([sampler.seed, index, position])
        state.assign(seeds.generate_state(2))


def _text_line(item, results):
    return results[0][0] + "\n"


def _json_line(item, results):
    item = {**item, "prediction": results[0][0]}
    if len(results) > 1:
        item["predictions"] = [
            {"text": text, "score": round(score, 6)} for text, score in results
        ]
    line = json.dumps(item, ensure_ascii=False) + "\n"
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        # Half of a surrogate pair under another key.
        line = json.dumps(item) + "\n"
    return line


def _ranked_lines(item, results):
    """The source, its texts with their scores, and an empty line."""
    from unilmv2_tf.inference.item_files import item_text

    scores = [f"{score:.3f}" for _, score in results]
    width = max(map(len, scores))
    lines = [
        f"  {score:>{width}}  {text}".rstrip()
        for (text, _), score in zip(results, scores)
    ]
    return "\n".join([item_text(item), *lines]) + "\n\n"


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

    Raises:
        ValueError: if the preset holds another model, or there is no such
            layer or head.

    Example:

    ```python
    show_attention("run/preset", "The quick brown fox jumped.")
    ```
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.inference.generate import load_generator
    from unilmv2_tf.plots import plot_attention

    model = load_generator(preset)
    figure = plot_attention(model, text, target, layer, head, path=output)
    tokens = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    print(" ".join(tokens))
    print(f"written to {output}")
