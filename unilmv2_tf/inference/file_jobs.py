"""Runs a model over a file or a stream, for `generate` and `predict`.

A job is a dataclass of the settings of a command, which workers receive. It has
`preset`, `batch_size` and

- `columns`, `may_be_empty` and `stream_format`: the items, see `ItemParser`;
- `extensions` of the output; `label` and `unit`, for the progress;
- `load(output, items)`, which loads the model, and checks settings and items;
- `process(items, index)`, the results of a chunk whose first item is number
  `index`, and `line(item, result)`, the text of one;
- `num_cut`, how many items were too long for the model.
"""

import dataclasses
import sys

from unilmv2_tf.filesystem import folder_checksum
from unilmv2_tf.inference.item_files import STREAM
from unilmv2_tf.inference.item_files import ItemParser
from unilmv2_tf.inference.item_files import ResumableWriter
from unilmv2_tf.inference.item_files import StdoutWriter
from unilmv2_tf.inference.item_files import check_output
from unilmv2_tf.inference.item_files import read_items
from unilmv2_tf.inference.item_files import stream_items
from unilmv2_tf.models import UniLMv2QuestionAnswerer
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.models import UniLMv2TextClassifier
from unilmv2_tf.models.task import load_task
from unilmv2_tf.models.task import task_class
from unilmv2_tf.progress import Progress

# Batches that are computed, and written, at once.
BATCHES_PER_CHUNK = 8
_KINDS = (
    (UniLMv2Seq2SeqLM, "text generator", "generate"),
    (UniLMv2TextClassifier, "classifier", "predict"),
    (UniLMv2QuestionAnswerer, "question answerer", "predict"),
)


def find_kind(preset, command):
    """The kind of model in a preset, which has to be one of a command."""
    cls = task_class(preset)
    kind, right_command = cls.__name__, None
    for known, name, its_command in _KINDS:
        if issubclass(cls, known):
            kind, right_command = name, its_command
    if right_command == command:
        return kind
    wanted = " or a ".join(name for _, name, x in _KINDS if x == command)
    remedy = "Fine-tune one from it with unilmv2 finetune"
    if right_command:
        remedy = f"For its answers use unilmv2 {right_command}"
    raise ValueError(
        f"`preset` must hold a {wanted}. Received: preset={preset}, a {kind} "
        f"({cls.__name__}). {remedy}"
    )


def load_model(preset, command, precision=None, special_tokens=None):
    """Loads the task of a preset, with a preprocessor."""
    find_kind(preset, command)
    dtype = {"dtype": precision} if precision else {}
    model = load_task(preset, special_tokens_in_strings=special_tokens, **dtype)
    if model.preprocessor is None:
        raise ValueError(
            "`preset` must hold a preprocessor. Received: preset="
            f"{preset}, of a model that takes integers"
        )
    return model


def count_longer(columns, tokenizer, longest):
    """How many items, columns of texts, have more than `longest` tokens."""
    # A token has at least one character: most texts need not be tokenized.
    rows = [row for row in zip(*columns) if sum(map(len, row)) > longest]
    if not rows:
        return 0
    lengths = [[len(x) for x in tokenizer(list(texts))] for texts in zip(*rows)]
    return sum(sum(of_item) > longest for of_item in zip(*lengths))


def lines_of(job, items, index):
    """The text of the results of some items."""
    return "".join(map(job.line, items, job.process(items, index)))


def run_job(
    job, input, output, overwrite, skip_misfits, runner, runner_options
):
    """Writes a line to `output` for each item of `input`."""
    if job.batch_size < 1:
        raise ValueError(
            "`batch_size` must be at least 1. Received: batch_size="
            f"{job.batch_size}"
        )
    if runner is None and runner_options:
        raise ValueError(
            "`runner_options` need a `runner`, for example DirectRunner. "
            f"Received: runner_options={runner_options}"
        )
    if runner is not None and STREAM in (input, output):
        raise ValueError(
            "A `runner` takes files, not streams. Received: "
            f"input={input}, output={output}, runner={runner}"
        )
    # 1. Output and input, before the model loads.
    is_file = output != STREAM
    if is_file:
        check_output(output, job.extensions, overwrite)
    settings, items, num_items = None, None, None
    if input != STREAM:
        checksum, items = read_items(
            input, job.columns, job.may_be_empty, skip_misfits
        )
        num_items = len(items)
        settings = dataclasses.asdict(job)
        settings |= settings.pop("sampler_args", {})
        settings |= {
            "preset": folder_checksum(job.preset),
            "input": checksum,
            "skip_misfits": skip_misfits,
        }
    to_workers = dataclasses.replace(job)
    job.load(output, items)
    chunk_size = BATCHES_PER_CHUNK * job.batch_size
    if runner is not None:
        from unilmv2_tf.inference.beam_chunks import compute_on_beam

        compute_on_beam(
            *(to_workers, items, output, settings, chunk_size, overwrite),
            *(runner, runner_options),
        )
        print(f"{num_items} {job.unit} written to {output}")
        return

    # 2. The writer, which knows where an interrupted run stopped.
    writer = StdoutWriter()
    if is_file:
        writer = ResumableWriter(
            output, settings, num_items, chunk_size, overwrite
        )
    if items is None:
        if sys.stdin.isatty():
            print("One text a line; Ctrl-D ends.", file=sys.stderr)
        parse = ItemParser(job.columns, job.stream_format, job.may_be_empty)
        chunks = stream_items(
            sys.stdin.fileno(), chunk_size, parse, skip_misfits
        )
    else:
        starts = range(0, num_items, chunk_size)
        chunks = (items[start : start + chunk_size] for start in starts)

    # 3. The results, chunk by chunk.
    index = 0
    progress = Progress(
        job.label,
        num_items,
        start_step=writer.num_done,
        unit=job.unit,
        step_unit=job.unit,
        # A bar would disturb results on the same terminal.
        is_shown=is_file or (sys.stderr.isatty() and not sys.stdout.isatty()),
    )
    with writer:
        try:
            with progress:
                for chunk in chunks:
                    if index >= writer.num_done:
                        writer.write(lines_of(job, chunk, index))
                        progress.advance(steps=len(chunk))
                    index += len(chunk)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted after {index} results{writer.resume_hint}"
            ) from None
        if job.num_cut:
            print(
                f"{job.num_cut} of {index - writer.num_done} {job.unit} are "
                "longer than the rows of the model, and were cut",
                file=sys.stderr,
            )
    if is_file:
        print(f"{index} {job.unit} written to {output}")
