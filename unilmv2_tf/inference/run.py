"""From sources to answers."""

import sys

from unilmv2_tf.checkpoints.checksums import file_checksum
from unilmv2_tf.checkpoints.checksums import folder_checksum
from unilmv2_tf.inference.answers import FileAnswers
from unilmv2_tf.inference.answers import StreamAnswers
from unilmv2_tf.inference.answers import check_output
from unilmv2_tf.inference.answers import ranked_lines
from unilmv2_tf.inference.answers import text_line
from unilmv2_tf.inference.model import Generator
from unilmv2_tf.inference.model import load_generator
from unilmv2_tf.inference.sources import StreamedLines
from unilmv2_tf.inference.sources import find_source_file
from unilmv2_tf.inference.sources import in_chunks
from unilmv2_tf.inference.sources import read_lines
from unilmv2_tf.inference.sources import read_sources
from unilmv2_tf.progress import Progress

# Standard streams, where files are named.
STREAM = "-"
# What is answered, and written, at once.
_BATCHES_PER_CHUNK = 8


def run(preset, source, output, overwrite, settings):
    """Answers all sources.

    Args:
        preset: string. The folder of a `UniLMv2Seq2SeqLM`.
        source: string. A file, or `"-"`.
        output: string. A file, or `"-"`.
        overwrite: bool. Whether to replace an output that is there.
        settings: dict. The arguments of a `Generator` and `precision`.

    Raises:
        ValueError: if an argument is out of range.
        FileNotFoundError: if there is no such file.
    """
    for name in ("batch_size", "max_length"):
        value = settings[name]
        if value is not None and value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
    if output != STREAM:
        check_output(output, overwrite)
    num_sources = None
    if source != STREAM:
        source = find_source_file(source)
        # A wrong line is told of now, and not after hours.
        num_sources = sum(1 for _ in read_sources(source))
    model = load_generator(preset, settings["precision"])
    generator = Generator(
        model,
        **{key: x for key, x in settings.items() if key != "precision"},
    )
    answers = _open_answers(
        preset, source, output, overwrite, settings, num_sources, generator
    )
    with answers:
        num_answers = _answer_all(generator, source, answers, num_sources)
        if generator.num_cut:
            longest = model.preprocessor.encoder_sequence_length
            print(
                f"cut at {longest} tokens, the model's longest: "
                f"{generator.num_cut} of {num_answers} sources",
                file=sys.stderr,
            )
    if output != STREAM:
        print(f"{num_answers} answers written to {output}")


def _open_answers(
    preset, source, output, overwrite, settings, num_sources, generator
):
    is_list = generator.num_texts > 1
    if output == STREAM:
        return StreamAnswers(ranked_lines if is_list else text_line)
    if is_list and output.lower().endswith(".txt"):
        raise ValueError(
            "Several texts for a source don't fit in one line. Received: "
            f"output={output}, num_return_sequences={generator.num_texts}. "
            "Write them to .jsonl or to stdout"
        )
    facts = {
        "preset": folder_checksum(preset),
        "input": None if source == STREAM else file_checksum(source),
    }
    return FileAnswers(
        output,
        {**settings, **facts},
        num_sources,
        _BATCHES_PER_CHUNK * generator.batch_size,
        overwrite,
    )


def _answer_all(generator, source, answers, num_sources):
    chunk_size = _BATCHES_PER_CHUNK * generator.batch_size
    index = 0
    try:
        with _progress(answers, num_sources) as progress:
            for records in _chunks(source, chunk_size):
                if index < answers.num_done:
                    generator.count_cut(records)
                else:
                    answers.write(records, generator(records, index))
                    progress.advance(steps=len(records))
                index += len(records)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted after {index} answers{answers.how_to_go_on}"
        ) from None
    return index


def _chunks(source, chunk_size):
    if source != STREAM:
        return in_chunks(read_sources(source), chunk_size)
    if sys.stdin.isatty():
        print("A text a line; Ctrl-D ends.", file=sys.stderr)
    lines = StreamedLines(sys.stdin.fileno())
    return in_chunks(read_lines(lines), chunk_size, lines.is_ready)


def _progress(answers, num_sources):
    # Beside answers on the same terminal a bar would be in the way.
    to_file = isinstance(answers, FileAnswers)
    return Progress(
        "generating",
        num_sources,
        start_step=answers.num_done,
        unit="texts",
        step_unit="texts",
        is_shown=to_file or (sys.stderr.isatty() and not sys.stdout.isatty()),
    )
