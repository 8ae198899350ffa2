"""A miniature of the paper's ablation of the pre-training objectives.

Five models are pre-trained alike but for their objectives, each is fine-tuned
with several seeds, as is one without pre-training, and all are scored on
held-out pairs. Everything is done by commands that a person can type, two at a
time with one thread each; they and their output are in the work folder. An
interrupted run is resumed by the same command. About an hour on two cores;
docs/results/ablation.md discusses the results.

    python -m benchmarks ablation --work FOLDER

Reference:
    Bao et al., 2020, section 4.5 and table 6.
"""

import concurrent.futures
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys

from benchmarks import charts
from unilmv2_tf.filesystem import write_text

QUICK = {"pretrain_steps": 20, "finetune_steps": 10, "seeds": 1}
COMMAND = "import sys; from unilmv2_tf.cli import main; sys.exit(main())"
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
FINETUNING_BATCH_SIZE = 32
PAIRS = "docstrings:arguments"
VOCABULARY = """vocabulary docstrings: --output=vocabulary.txt
  --vocabulary_size=4000"""
PREPARE = """prepare docstrings: vocabulary.txt shards --sequence_length=64
  --num_workers=1"""
# With relative positions, unlike the paper's ablation: without them so short a
# training gets no further than word frequencies.
PRETRAIN = """pretrain --data=shards --preset=unilmv2_tiny --backbone.dropout=0
  --backbone.max_sequence_length=64 --batch_size=16 --learning_rate=1e-3
  --clip_norm=1 --seed=1 --tensorboard=false --checkpoint_interval=500"""
FINETUNE = f"""finetune seq2seq --data={PAIRS} --source_length=48
  --target_length=12 --num_beams=3 --length_penalty=0 --metric=exact_match
  --batch_size={FINETUNING_BATCH_SIZE} --learning_rate=1e-3 --epochs=1
  --backbone.dropout=0.1"""
EVALUATE = f"""evaluate ae_par_finetuned/preset {PAIRS} --output=evaluated
  --baselines={PAIRS} --metrics=[exact_match,rougeL]"""
AUTOREGRESSIVE = "--block_probability=0"
# Title; flags of the pre-training; SQuAD 1.1 F1 and MNLI-m in the paper.
ARMS = {
    "ae_par": ("AE+PAR", "--objectives=[ae,par]", (91.5, 85.6)),
    "ae_ar": ("AE+AR", f"--objectives=[ae,par] {AUTOREGRESSIVE}", (90.8, 85.4)),
    "ae": ("AE", "--objectives=ae", (91.0, 84.9)),
    "par": ("PAR", "--objectives=par", (90.7, 84.9)),
    "ar": ("AR", f"--objectives=par {AUTOREGRESSIVE}", (89.9, 84.8)),
    "none": ("no pre-training", None, ("", "")),
}


def run(
    work: str = "ablation",
    pretrain_steps: int = 2500,
    finetune_steps: int = 600,
    seeds: int = 3,
    processes: int = 2,
):
    """Runs all commands in the folder `work`, and gathers their results."""
    folder = pathlib.Path(work).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for stage in stages(pretrain_steps, finetune_steps, seeds):
        with concurrent.futures.ThreadPoolExecutor(processes) as pool:
            jobs = [
                pool.submit(run_command, folder, name, command)
                for name, command in stage.items()
            ]
            for job in concurrent.futures.as_completed(jobs):
                print(f"  {job.result()}", flush=True)
    scored = json.loads((folder / "evaluated" / "scores.json").read_text())
    return {
        "trivial": scored["baselines"],
        "rows": {arm: gather(folder, arm, pretrain_steps) for arm in ARMS},
    }


def stages(pretrain_steps, finetune_steps, seeds):
    """The commands by name; those of a stage need those before."""
    yield {"vocabulary": VOCABULARY}
    yield {"prepare": PREPARE}
    yield {
        f"pretrain {arm}": f"{PRETRAIN} {flags} --output={arm} "
        f"--num_steps={pretrain_steps} --evaluation_interval={pretrain_steps} "
        f"--warmup_steps={round(0.05 * pretrain_steps)}"
        for arm, (_, flags, _) in ARMS.items()
        if flags
    }
    num_examples = FINETUNING_BATCH_SIZE * finetune_steps
    random_weights = "unilmv2_tiny --vocabulary=vocabulary.txt"
    yield {
        f"finetune {arm}": f"{FINETUNE} --output={arm}_finetuned "
        f"--num_examples={num_examples} --seeds={seeds} "
        f"--preset={f'{arm}/preset' if flags else random_weights}"
        for arm, (_, flags, _) in ARMS.items()
    }
    yield {"evaluate": EVALUATE}


def run_command(folder, name, command):
    """Runs a command unless it is done; returns a line about it."""
    done = folder / f"{name.replace(' ', '_')}.json"
    if done.exists():
        return f"{name}: already done"
    with open(done.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *command.split()],
            cwd=folder,
            env={**os.environ, **ONE_THREAD},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"`unilmv2 {command}` failed; see {log.name}")
    cpu_seconds = usage.ru_utime + usage.ru_stime
    write_text(done, json.dumps({"cpu_seconds": cpu_seconds}) + "\n")
    return f"{name}: {cpu_seconds:.0f} CPU seconds"


def gather(folder, arm, pretrain_steps):
    """The row of the results of an arm."""
    title, flags, paper = ARMS[arm]
    path = folder / f"{arm}_finetuned" / "results.json"
    runs = json.loads(path.read_text())["seeds"]
    row = {"title": title, "seeds": [run["seed"] for run in runs]}
    for metric in ("exact_match", "rougeL"):
        scores = [run["best"]["scores"][metric] for run in runs]
        row[metric] = {
            "values": scores,
            "mean": statistics.mean(scores),
            "min": min(scores),
            "max": max(scores),
        }
    row["paper"] = dict(zip(("squad1_f1", "mnli_m"), paper))
    if flags:
        with open(folder / arm / "history.csv", newline="") as file:
            last = list(csv.DictReader(file))[-1]
        done = json.loads((folder / f"pretrain_{arm}.json").read_text())
        row["pretraining"] = {
            "held_out": {
                name: float(last[f"val_{name}"])
                for name in ("ae_loss", "par_loss")
                if last.get(f"val_{name}")
            },
            "seconds_per_step": done["cpu_seconds"] / pretrain_steps,
        }
    return row


def draw(figures, path):
    """Draws the mean of the seeds, with a line from lowest to highest."""
    rows = figures["rows"].values()
    names = {"median": "mean", "lowest": "min", "highest": "max"}
    scores = [
        {key: 100 * row["exact_match"][name] for key, name in names.items()}
        for row in rows
    ]
    series = {"mean of three seeds (line: range)": scores}
    titles = [row["title"].replace(" ", "\n") for row in rows]
    label = "exact match on held-out pairs, %"
    charts.draw_panels(
        path, lambda axes: charts.bar_panel(axes, series, titles, label)
    )


def tables(figures):
    """The table of docs/results/ablation.md."""
    rows = []
    for row in figures["rows"].values():
        match = row["exact_match"]
        pretraining = row.get("pretraining", {"held_out": {}})
        losses = pretraining["held_out"]
        numbers = (losses.get("ae_loss"), losses.get("par_loss"),
                   pretraining.get("seconds_per_step"))  # fmt: skip
        rows.append(
            (
                row["title"],
                "{mean:.1%} ({min:.1%} to {max:.1%})".format(**match),
                f"{row['rougeL']['mean']:.1%}",
                *("" if n is None else f"{n:.3g}" for n in numbers),
                *(row["paper"][key] for key in ("squad1_f1", "mnli_m")),
            )
        )
    header = ("objectives", "exact match, mean (lowest to highest)", "ROUGE-L",
              "AE loss", "PAR or AR loss", "CPU s/step", "paper: SQuAD 1.1",
              "MNLI")  # fmt: skip
    return {"ablation": (header, rows)}
