"""`unilmv2 quickstart`: the commands of a whole run, small enough for minutes.

Each step is a command that a person can type, and is printed before it runs.
"""

import csv
import json
import os
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
# The file that each step writes last, in the output folder.
RESULTS = {
    "vocabulary": "vocabulary.txt",
    "prepare": "shards",
    "pretrain": "pretrained/preset",
    "finetune": "finetuned/preset",
    "from scratch": "scratch/preset",
    "evaluate": "scores/scores.json",
    "evaluate from scratch": "scratch_scores/scores.json",
    "generate": "generated.txt",
    "export": "saved_model",
    "check-export": "export_check/report.md",
    "show-mask": "mask.png",
}
NUM_SHOWN = 5
SENTENCE = "The shape of the tensor is given by a tuple of integers."


def quickstart(
    output: str = "quickstart",
    corpus: str = "docstrings:",
    task: Literal["name", "summary"] = "name",
    preset: Literal[
        "unilmv2_tiny", "unilmv2_mini", "unilmv2_small"
    ] = "unilmv2_tiny",
    vocabulary_size: int = 4000,
    sequence_length: int = 64,
    pretrain_steps: int = 4000,
    pretrain_batch_size: int = 16,
    num_examples: int | None = None,
    finetune_batch_size: int = 32,
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
        sequence_length: Tokens in a row of pre-training.
        pretrain_steps: Steps of pre-training.
        pretrain_batch_size: Rows in a step of pre-training.
        num_examples: Pairs of one pass of fine-tuning, by default all.
        finetune_batch_size: Pairs in a step of fine-tuning.
        num_held_out: Held-out pairs that are scored, by default all.
        seed: Seed of everything random.

    Raises:
        ValueError: if the output folder holds a run with other arguments.
        SystemExit: if a command fails.
        KeyboardInterrupt: on Ctrl-C; finished commands are kept.

    Example:

    ```python
    quickstart("quickstart", pretrain_steps=1000)
    ```
    """
    settings = dict(locals())
    # Imported here, since the command line imports this file.
    from unilmv2_tf.cli import INTERRUPTED
    from unilmv2_tf.cli import main

    folder = pathlib.Path(output)
    done_path = folder / "commands.json"
    done = json.loads(done_path.read_text()) if done_path.exists() else {}
    for name, (command, result) in make_commands(folder, settings).items():
        line = shlex.join(["unilmv2", *command])
        print(f"\n$ {line}", flush=True)
        if name in done:
            if done[name]["command"] != line:
                raise ValueError(
                    "`output` must be a new folder, or one of the same "
                    f"arguments. Received: output={output}, where this step "
                    f"was `{done[name]['command']}`. Choose another --output, "
                    "or delete it."
                )
            print(f"done before, in {done[name]['seconds']:.0f} s")
            continue
        if name == "generate":
            write_sources(folder)
        start = time.monotonic()
        status = main(command)
        if status not in (0, INTERRUPTED):
            # The command printed why.
            raise SystemExit(status)
        # A training that SIGTERM stops reports success.
        if status == INTERRUPTED or not (folder / result).exists():
            raise KeyboardInterrupt(
                f"interrupted; {output} keeps what is done, and the same "
                "command resumes"
            )
        done[name] = {"command": line, "seconds": time.monotonic() - start}
        write_text(done_path, json.dumps(done, indent=2) + "\n")
    report = make_report(folder, done)
    write_text(folder / "report.md", report)
    print(f"\n{report}\nThis report: {folder / 'report.md'}")


def make_commands(folder, settings):
    """The steps in order, by name: arguments of `unilmv2`, last file."""
    data, source_length, target_length, length_penalty = TASKS[settings["task"]]
    num_positions = max(
        settings["sequence_length"], source_length + target_length
    )
    num_steps, seed = settings["pretrain_steps"], settings["seed"]
    corpus = shlex.quote(settings["corpus"])
    vocabulary, shards = f"{folder}/vocabulary.txt", f"{folder}/shards"
    finetune = f"""finetune seq2seq --data {data} --epochs 1
        --batch_size {settings["finetune_batch_size"]} --learning_rate 1e-3
        --source_length {source_length} --target_length {target_length}
        --num_beams 3 --length_penalty {length_penalty} --metric exact_match
        --evaluation_examples 100 --seed {seed}
        {_flag("num_examples", settings["num_examples"])}"""
    # Scores and baselines that need the extra `metrics` are left out without.
    missing = [name for name in ("rouge_score", "sklearn")
               if find_spec(name) is None]  # fmt: skip
    if missing:
        print(
            "ROUGE-L and baselines are skipped: install them with pip install "
            "'unilmv2_tf[metrics]'"
        )
    metrics = "[exact_match]" if missing else "[exact_match,rougeL]"
    baselines = "" if missing else f"--baselines {data}"
    evaluate = f"""--metrics {metrics}
        {_flag("num_examples", settings["num_held_out"])}"""
    commands = {
        "vocabulary": f"""vocabulary {corpus} --output {vocabulary}
            --vocabulary_size {settings["vocabulary_size"]}""",
        "prepare": f"""prepare {corpus} {vocabulary} {shards}
            --sequence_length {settings["sequence_length"]}
            --overwrite true""",
        # So short a training sees each row a few times at most: no dropout.
        "pretrain": f"""pretrain --data {shards} --output {folder}/pretrained
            --preset {settings["preset"]} --backbone.dropout 0
            --backbone.max_sequence_length {num_positions}
            --batch_size {settings["pretrain_batch_size"]}
            --num_steps {num_steps} --warmup_steps {round(0.05 * num_steps)}
            --learning_rate 1e-3 --clip_norm 1 --seed {seed}""",
        "finetune": f"""{finetune} --output {folder}/finetuned
            --preset {folder}/pretrained/preset --backbone.dropout 0.1""",
        # The same from random weights shows what pre-training gains.
        "from scratch": f"""{finetune} --output {folder}/scratch
            --preset {settings["preset"]} --vocabulary {vocabulary}
            --backbone.max_sequence_length {num_positions}""",
        "evaluate": f"""evaluate {folder}/finetuned/preset {data} {evaluate}
            --output {folder}/scores {baselines}""",
        "evaluate from scratch": f"""evaluate {folder}/scratch/preset {data}
            {evaluate} --output {folder}/scratch_scores""",
        "generate": f"""generate {folder}/finetuned/preset
            --input {folder}/sources.txt --output {folder}/generated.txt
            --overwrite true""",
        "export": f"""export {folder}/finetuned/preset
            --output {folder}/saved_model --check false""",
        "check-export": f"""check-export {folder}/saved_model
            --output {folder}/export_check""",
    }
    if find_spec("matplotlib"):
        commands["show-mask"] = f"""show-mask '{SENTENCE}' --seed {seed}
            --vocabulary {vocabulary} --output {folder}/mask.png"""
    else:
        print("Pictures are skipped: pip install 'unilmv2_tf[plots]'")
    return {
        name: (shlex.split(command), RESULTS[name])
        for name, command in commands.items()
    }


def _flag(name, value):
    return "" if value is None else f"--{name} {value}"


def write_sources(folder):
    """Writes sources for `generate`, spread over the held-out pairs."""
    sources = [row["src"] for row in _predictions(folder)]
    sources = [" ".join(source.split()) for source in sources]
    write_text(folder / "sources.txt", "\n".join(sources) + "\n")


def _predictions(folder):
    """Some of the held-out pairs, with what the model generated."""
    lines = (folder / "scores" / "predictions.jsonl").read_text().splitlines()
    step = max(1, len(lines) // NUM_SHOWN)
    return [json.loads(line) for line in lines[::step][:NUM_SHOWN]]


def make_report(folder, done):
    """What the commands found, in Markdown."""
    scored = json.loads((folder / "scores/scores.json").read_text())
    scratch = json.loads((folder / "scratch_scores/scores.json").read_text())
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
    with open(folder / "pretrained/history.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    losses = [("word frequencies", f"{word_frequency_loss(folder):.2f}", "")]
    for title, name in (
        ("autoencoding (AE)", "ae"),
        ("partially autoregressive (PAR)", "par"),
    ):
        loss, accuracy = (
            float(last[f"val_{name}_{key}"]) for key in ("loss", "accuracy")
        )
        losses.append((title, f"{loss:.2f}", f"{accuracy:.1%}"))
    generated = (folder / "generated.txt").read_text().splitlines()
    examples = "\n".join(
        f"- source: {' '.join(row['src'].split())[:200]}\n"
        f"  - reference: `{row['tgt']}`, generated: `{text}`"
        for row, text in zip(_predictions(folder), generated)
    )
    steps = "\n".join(
        f"{step['command']}  # {step['seconds']:.0f} s"
        for step in done.values()
    )
    pictures = "\n".join(
        f"![{title}]({path})\n"
        for title, path in (
            ("Losses of pre-training", "pretrained/curves.png"),
            ("Which token attends to which", "mask.png"),
        )
        if os.path.exists(folder / path)
    )
    return f"""# UniLMv2 quick start

## Pre-training

Loss on held-out text, in nats for each masked token:

{_table(("", "loss", "accuracy"), losses)}
## Fine-tuning

Held-out pairs:

{_table(("method", *metrics), rows)}
{_verdict(scores, metrics[0])}

## Generated texts

{examples}

The exported model gave the same answers in a process without this package:
[report](export_check/report.md).

{pictures}
## Commands

```shell
{steps}
```
"""


def word_frequency_loss(folder):
    """Loss of predicting masked tokens by their frequencies, in nats."""
    import numpy as np

    from unilmv2_tf.datasets import evaluation_batches
    from unilmv2_tf.datasets import masked_batches
    from unilmv2_tf.datasets import open_token_shards
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


def _verdict(scores, metric):
    ours = scores["pre-trained"][metric]
    scratch = scores["from scratch"][metric]
    verb = "helps" if ours > scratch else "did not help here"
    text = (
        f"Pre-training {verb}: {metric} is {ours:.1%}, and {scratch:.1%} after "
        "the same fine-tuning from random weights."
    )
    better = [
        f"{name} ({values[metric]:.1%})"
        for name, values in scores.items()
        if values[metric] > ours and name != "from scratch"
    ]
    if better:
        text += (
            f" Better than this small model: {', '.join(better)}. Many "
            "docstrings are near-copies of others, which a lookup finds."
        )
    return text


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
