"""`unilmv2 quickstart`: the commands of a whole run, small enough for minutes.

Each step is a command that a person can type, and is printed before it runs.
"""

import csv
import json
import pathlib
import shlex
import time
from importlib.util import find_spec
from typing import Literal

from unilmv2_tf.filesystem import write_text

# Data, maximum numbers of tokens of source and target, length penalty of the
# beam search.
TASKS = {
    "name": ("docstrings:arguments", 48, 12, 0.0),
    "summary": ("docstrings:summaries", 128, 32, 0.7),
}
# What each step writes last, and its command.
STEPS = """
vocabulary.txt: vocabulary {corpus} --output {output}/vocabulary.txt
  --vocabulary_size {vocabulary_size}

shards: prepare {corpus} {output}/vocabulary.txt {output}/shards
  --sequence_length 64 --overwrite true

pretrained/preset: pretrain --data {output}/shards --output {output}/pretrained
  --preset {preset} --backbone.max_sequence_length {positions}
  --backbone.dropout 0 --batch_size 16
  --num_steps {pretrain_steps} --warmup_steps {warmup_steps}
  --learning_rate 1e-3 --clip_norm 1 --seed {seed}

finetuned/preset: {finetune} --preset {output}/pretrained/preset
  --output {output}/finetuned --backbone.dropout 0.1

scratch/preset: {finetune} --preset {preset} --output {output}/scratch
  --vocabulary {output}/vocabulary.txt
  --backbone.max_sequence_length {positions}

scores/scores.json: evaluate {output}/finetuned/preset {data} {evaluate}
  --output {output}/scores {baselines}

scratch_scores/scores.json: evaluate {output}/scratch/preset {data} {evaluate}
  --output {output}/scratch_scores

generated.txt: generate {output}/finetuned/preset --input {output}/sources.txt
  --output {output}/generated.txt --overwrite true

saved_model: export {output}/finetuned/preset --output {output}/saved_model
  --check false

export_check/report.json: check-export {output}/saved_model
  --output {output}/export_check

mask.png: show-mask "The shape of the tensor is given by a tuple of integers."
  --vocabulary {output}/vocabulary.txt --output {output}/mask.png --seed {seed}
"""
FINETUNE = """finetune seq2seq --data {data} --source_length {source_length}
  --target_length {target_length} --num_beams 3
  --length_penalty {length_penalty} --batch_size 32
  --epochs 1 --learning_rate 1e-3 --metric exact_match
  --evaluation_examples 100 --seed {seed}"""
PICTURES = {
    "Losses of pre-training": "pretrained/curves.png",
    "Which token attends to which": "mask.png",
}
CHECK = "export_check/report.json"
NUM_SHOWN = 5


def quickstart(
    output: str = "quickstart",
    corpus: str = "docstrings:",
    task: Literal["name", "summary"] = "name",
    preset: Literal[
        "unilmv2_tiny", "unilmv2_mini", "unilmv2_small"
    ] = "unilmv2_tiny",
    vocabulary_size: int = 4000,
    pretrain_steps: int = 4000,
    num_examples: int | None = None,
    num_held_out: int | None = None,
    seed: int = 1,
):
    """Pre-trains, fine-tunes, evaluates, exports and queries a small model.

    Nothing is downloaded: the data are docstrings of installed packages. The
    commands are printed, and the same command resumes an interrupted run.
    `report.md` in the output folder sums it up.

    Args:
        output: Folder for everything that is made.
        corpus: Text for vocabulary and pre-training, as for `unilmv2 prepare`.
        task: name (an argument's description -> its name) or summary (the body
            of a docstring -> its first line; hard, for longer runs).
        preset: A built-in size of the model.
        vocabulary_size: Number of WordPieces.
        pretrain_steps: Steps of pre-training, 16 rows of 64 tokens each.
        num_examples: Pairs of the one pass of fine-tuning, by default all.
        num_held_out: Held-out pairs that are scored, by default all.
        seed: Seed of everything random.
    """
    settings = dict(locals())
    # Imported here, since the command line imports this file.
    from unilmv2_tf.cli import INTERRUPTED
    from unilmv2_tf.cli import main

    folder = pathlib.Path(output)
    done_path = folder / "commands.json"
    done = json.loads(_read(done_path)) if done_path.exists() else {}
    for result, command in make_steps(settings).items():
        line = shlex.join(["unilmv2", *command])
        print(f"\n$ {line}", flush=True)
        if result in done:
            if done[result]["command"] != line:
                raise ValueError(
                    "`output` must be a new folder, or one of the same "
                    f"arguments. Received: output={output}, where this step "
                    f"was `{done[result]['command']}`. Choose another "
                    "--output, or delete it."
                )
            print(f"done before, in {done[result]['seconds']:.0f} s")
            continue
        if result == "generated.txt":
            write_sources(folder)
        start = time.monotonic()
        status = main(command)
        if status not in (0, INTERRUPTED):
            # The command printed why. A report is worth having even if the
            # export of a barely trained model fails its check.
            if result == CHECK:
                continue
            raise SystemExit(status)
        if status == INTERRUPTED:
            raise KeyboardInterrupt(
                f"interrupted; {output} keeps what is done, and the same "
                "command resumes"
            )
        done[result] = {"command": line, "seconds": time.monotonic() - start}
        write_text(done_path, json.dumps(done, indent=2) + "\n")
    report = make_report(folder, done)
    write_text(folder / "report.md", report)
    print(f"\n{report}\nThis report: {folder / 'report.md'}")


def make_steps(settings):
    """The steps in order: what they write last -> arguments of `unilmv2`."""
    data, source_length, target_length, penalty = TASKS[settings["task"]]
    values = {
        **settings,
        "output": shlex.quote(settings["output"]),
        "corpus": shlex.quote(settings["corpus"]),
        "data": data,
        "source_length": source_length,
        "target_length": target_length,
        "length_penalty": penalty,
        "positions": max(64, source_length + target_length),
        # So short a training sees each row a few times at most: no dropout.
        "warmup_steps": round(0.05 * settings["pretrain_steps"]),
        "evaluate": "--metrics [exact_match,rougeL]",
        "baselines": f"--baselines {data}",
    }
    if not (find_spec("rouge_score") and find_spec("sklearn")):
        values |= {"evaluate": "--metrics [exact_match]", "baselines": ""}
        print(
            "ROUGE-L and baselines are skipped: pip install "
            "'unilmv2_tf[metrics]'"
        )
    values["finetune"] = FINETUNE.format(**values)
    for command, number in (
        ("finetune", settings["num_examples"]),
        ("evaluate", settings["num_held_out"]),
    ):
        if number is not None:
            values[command] += f" --num_examples {number}"
    steps = {}
    for step in STEPS.format(**values).strip().split("\n\n"):
        result, _, command = step.partition(": ")
        steps[result] = shlex.split(command)
    if not find_spec("matplotlib"):
        print("Pictures are skipped: pip install 'unilmv2_tf[plots]'")
        del steps["mask.png"]
    return steps


def write_sources(folder):
    """Writes sources for `generate`, spread over the held-out pairs."""
    sources = [row["src"] for row in _predictions(folder)]
    sources = [" ".join(source.split()) for source in sources]
    write_text(folder / "sources.txt", "\n".join(sources) + "\n")


def _predictions(folder):
    """Some of the held-out pairs, with what the model generated."""
    lines = _read(folder / "scores/predictions.jsonl").split("\n")
    step = max(1, len(lines) // NUM_SHOWN)
    return [json.loads(line) for line in lines[::step][:NUM_SHOWN]]


def _read(path):
    return path.read_text(encoding="utf-8").removesuffix("\n")


def make_report(folder, done):
    """What the commands found, in Markdown."""
    scored = json.loads(_read(folder / "scores/scores.json"))
    scratch = json.loads(_read(folder / "scratch_scores/scores.json"))
    scores = {
        "pre-trained": scored["scores"],
        "from scratch": scratch["scores"],
        **scored["baselines"],
    }
    metrics = list(scored["scores"])
    rows = [
        (name, *(f"{values[metric]:.1%}" for metric in metrics))
        for name, values in scores.items()
    ]
    history = _read(folder / "pretrained/history.csv").split("\n")
    last = list(csv.DictReader(history))[-1]
    losses = [("word frequencies", f"{word_frequency_loss(folder):.2f}", "")]
    for title, name in (
        ("autoencoding (AE)", "ae"),
        ("partially autoregressive (PAR)", "par"),
    ):
        loss, accuracy = (
            float(last[f"val_{name}_{key}"]) for key in ("loss", "accuracy")
        )
        losses.append((title, f"{loss:.2f}", f"{accuracy:.1%}"))
    generated = _read(folder / "generated.txt").split("\n")
    examples = "\n".join(
        f"- source: {' '.join(row['src'].split())[:200]}\n"
        f"  - reference: `{row['tgt']}`, generated: `{text}`"
        for row, text in zip(_predictions(folder), generated)
    )
    steps = "\n".join(
        f"{step['command']}  # {step['seconds']:.0f} s"
        for step in done.values()
    )
    check = "`unilmv2 check-export` failed: see what it printed."
    if CHECK in done:
        check = (
            "The exported model gave the same answers in a process without "
            f"this package: [report]({CHECK})."
        )
    pictures = "\n\n".join(
        f"![{title}]({path})"
        for title, path in PICTURES.items()
        if (folder / path).exists()
    )
    return f"""# UniLMv2 quick start

## Pre-training

Loss on held-out text, in nats for each masked token:

{_table(("", "loss", "accuracy"), losses)}
## Fine-tuning

Held-out pairs:

{_table(("method", *metrics), rows)}
Many docstrings are near-copies of others: a lookup is hard to beat. What
pre-training gains is the difference to the model from scratch.

## Generated texts

{examples}

{check}

{pictures}

## Commands

```shell
{steps}
```
"""


def word_frequency_loss(folder):
    """Loss of predicting masked tokens by their frequencies, in nats."""
    import numpy as np

    from unilmv2_tf.datasets import masked_batches
    from unilmv2_tf.datasets import open_token_shards
    from unilmv2_tf.datasets.shard_reading import evaluation_batches
    from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor

    shards = open_token_shards(folder / "shards")
    preprocessor = UniLMv2PseudoMaskedLMPreprocessor(
        shards.tokenizer(), sequence_length=shards.sequence_length, seed=0
    )
    batches = {
        "train": masked_batches(shards, "train", preprocessor, 64).take(500),
        "held out": evaluation_batches(shards, "validation", preprocessor, 64),
    }
    counts = {}
    for name, dataset in batches.items():
        labels = np.concatenate(
            [y[weight > 0] for _, y, weight in dataset.as_numpy_iterator()]
        )
        counts[name] = np.bincount(labels, minlength=len(shards.vocabulary))
    # A token that never occurred counts as one occurrence.
    shares = np.maximum(counts["train"], 1) / counts["train"].sum()
    return -(counts["held out"] * np.log(shares)).sum() / len(labels)


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
