"""A miniature of the paper's ablation: what each objective is worth.

    python -m benchmarks.ablation --work FOLDER

Five models are pre-trained alike but for their objectives, each is fine-tuned
with several seeds, as is one without pre-training, and all are scored on
held-out pairs. Each piece of work is a process of one thread, two at a time,
and its result stays in the work folder: run it again to go on. Results go to
benchmarks/results/ablation.json and docs/ablation.png; docs/results/ablation.md
says what they mean. About an hour on two cores.

Reference:
    Bao et al., 2020, section 4.5 and table 6.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

from benchmarks.report import PACKAGES
from benchmarks.report import write_results
from unilmv2_tf.filesystem import write_text

ROOT = pathlib.Path(__file__).parent.parent
PLOT = ROOT / "docs" / "ablation.png"
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
FIXED = {
    "preset": "unilmv2_tiny",
    "vocabulary_size": 4000,
    "sequence_length": 64,
    "pretrain_batch_size": 16,
    "pretrain_learning_rate": 1e-3,
    "pretrain_seed": 1,
    "finetune_batch_size": 32,
}


@dataclasses.dataclass(frozen=True)
class Arm:
    """A row of the table; without objectives, without pre-training."""

    title: str
    objectives: tuple = ()
    # Spans of single tokens make partially autoregressive fully so.
    is_autoregressive: bool = False
    # SQuAD 1.1 F1, SQuAD 2.0 F1, MNLI-m, SST-2.
    paper: tuple | None = None


BOTH = ("ae", "par")
ARMS = {
    "ae_par": Arm("AE+PAR", BOTH, paper=(91.5, 81.8, 85.6, 93.0)),
    "ae_ar": Arm(
        "AE+AR", BOTH, is_autoregressive=True, paper=(90.8, 80.7, 85.4, 92.6)
    ),
    "ae": Arm("AE", ("ae",), paper=(91.0, 81.3, 84.9, 92.4)),
    "par": Arm("PAR", ("par",), paper=(90.7, 79.9, 84.9, 92.5)),
    "ar": Arm(
        "AR", ("par",), is_autoregressive=True, paper=(89.9, 79.3, 84.8, 92.3)
    ),
    "none": Arm("no pre-training"),
}
PRETRAINED = [name for name, arm in ARMS.items() if arm.objectives]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pretrain_steps", type=int, default=2500)
    parser.add_argument("--finetune_steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    settings = {
        **FIXED,
        "pretrain_steps": options.pretrain_steps,
        "finetune_steps": options.finetune_steps,
    }
    work = options.work.resolve()
    if options.job:
        do_job(work, options.job, settings)
        return
    remember(work, settings)
    start = time.monotonic()
    seeds = range(1, options.seeds + 1)
    stages = (
        ["data"],
        [f"pretrain {name}" for name in reversed(PRETRAINED)],
        [f"finetune {name} {s}" for s in seeds for name in reversed(ARMS)],
    )
    jobs = Jobs(work, options.processes, settings, sum(map(len, stages)))
    for stage in stages:
        jobs.run(stage)
    report(work, settings, seeds)
    print(f"done in {(time.monotonic() - start) / 60:.0f} minutes; see {PLOT}")


def remember(work, settings):
    """Refuses a work folder of other settings with a ValueError."""
    path = work / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise ValueError(
            "`work` must be a new folder, or one of the same settings. "
            f"Received: work={work}, made with {path.read_text()} instead of "
            f"{json.dumps(settings)}. Choose another folder."
        )
    work.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(settings) + "\n")


class Jobs:
    """Runs pieces of work in processes, those that are not done yet."""

    def __init__(self, work, num_processes, settings, num_jobs):
        self.work = work
        self.num_processes = num_processes
        self.settings = settings
        self.num_jobs = num_jobs
        self.num_done = 0

    def run(self, names):
        """Runs pieces of work that do not need each other.

        Args:
            names: list of strings, see `do_job`.

        Raises:
            RuntimeError: if one of them failed.
        """
        pool = concurrent.futures.ThreadPoolExecutor(self.num_processes)
        try:
            started = [pool.submit(self._run_one, name) for name in names]
            for future in concurrent.futures.as_completed(started):
                self.num_done += 1
                print(
                    f"{self.num_done} of {self.num_jobs}: {future.result()}",
                    flush=True,
                )
        finally:
            pool.shutdown(cancel_futures=True)

    def _run_one(self, name):
        if result_path(self.work, name).exists():
            return f"{name}: was done"
        start = time.monotonic()
        log = self.work / f"{name.replace(' ', '_')}.log"
        command = [
            *(sys.executable, "-m", "benchmarks.ablation", "--job", name),
            f"--work={self.work}",
            f"--pretrain_steps={self.settings['pretrain_steps']}",
            f"--finetune_steps={self.settings['finetune_steps']}",
        ]
        with open(log, "w", encoding="utf-8") as file:
            status = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD},
                stdout=file,
                stderr=subprocess.STDOUT,
            ).returncode
        if status:
            raise RuntimeError(f"{name} failed with {status}; see {log}")
        return f"{name}: {time.monotonic() - start:.0f} s"


def result_path(work, name):
    """The file whose existence says that a piece of work is done."""
    return work / f"{name.replace(' ', '_')}.json"


def do_job(work, name, settings):
    """Does a piece of work, in a process of its own.

    Args:
        work: path.
        name: string: `"data"`, `"pretrain ARM"` or `"finetune ARM SEED"`.
        settings: dict.
    """
    kind, *arguments = name.split()
    job = {"data": make_data, "pretrain": pretrain_arm, "finetune": finetune}
    result = job[kind](work, settings, *arguments)
    write_text(result_path(work, name), json.dumps(result, indent=2) + "\n")


def make_data(work, settings):
    """Learns the vocabulary and packs the embedded corpus."""
    from unilmv2_tf.datasets.prepare import prepare
    from unilmv2_tf.datasets.vocabulary_command import vocabulary
    from unilmv2_tf.quickstart.quickstart_scores import TASKS
    from unilmv2_tf.quickstart.quickstart_scores import column_arrays
    from unilmv2_tf.quickstart.quickstart_scores import score_trivial_methods

    path = os.fspath(work / "vocabulary.txt")
    vocabulary("docstrings:", path, settings["vocabulary_size"])
    counted = prepare(
        "docstrings:",
        path,
        os.fspath(work / "shards"),
        sequence_length=settings["sequence_length"],
        overwrite=True,
    )
    task = TASKS["name"]
    pairs = {
        split: column_arrays(task.pairs(split))
        for split in ("train", "validation")
    }
    return {
        "splits": counted["splits"],
        "pairs": {k: len(v["encoder_text"]) for k, v in pairs.items()},
        "trivial": score_trivial_methods(
            task, pairs["train"], pairs["validation"]
        ),
    }


def pretrain_arm(work, settings, name):
    """Pre-trains on the objectives of an arm."""
    from unilmv2_tf.training.arguments import PretrainArgs
    from unilmv2_tf.training.history import read_history
    from unilmv2_tf.training.pretrain import pretrain
    from unilmv2_tf.training.training_state import saved_steps

    arm = ARMS[name]
    output = work / name
    num_steps = settings["pretrain_steps"]
    # As the quick start. The paper's ablation has no relative positions, but
    # without them so short a training gets no further than frequencies.
    backbone = {
        "dropout": 0.0,
        "max_sequence_length": settings["sequence_length"],
    }
    first_step = max(saved_steps(output / "checkpoints"), default=0)
    start = time.process_time()
    is_done = pretrain(
        PretrainArgs(
            data=os.fspath(work / "shards"),
            output=os.fspath(output),
            preset=settings["preset"],
            backbone=backbone,
            objectives=list(arm.objectives),
            block_probability=0.0 if arm.is_autoregressive else 0.4,
            num_steps=num_steps,
            batch_size=settings["pretrain_batch_size"],
            learning_rate=settings["pretrain_learning_rate"],
            warmup_steps=round(0.05 * num_steps),
            clip_norm=1.0,
            seed=settings["pretrain_seed"],
            evaluation_interval=num_steps,
            checkpoint_interval=500,
            tensorboard=False,
        )
    )
    if not is_done:
        raise SystemExit(f"{name} was stopped; run it again to go on")
    seconds = time.process_time() - start
    last = read_history(output / "history.csv")[-1]
    held_out = {k[4:]: v for k, v in last.items() if k.startswith("val_")}
    num_done = max(num_steps - first_step, 1)
    return {
        "held_out": held_out,
        "processor_seconds_per_step": seconds / num_done,
    }


def finetune(work, settings, name, seed):
    """Fine-tunes what an arm pre-trained, and scores it on held-out pairs."""
    from unilmv2_tf.quickstart.quickstart import QuickStart
    from unilmv2_tf.quickstart.quickstart_scores import TASKS
    from unilmv2_tf.quickstart.quickstart_scores import column_arrays
    from unilmv2_tf.quickstart.quickstart_scores import score_task

    folder = work / f"{name}_{seed}"
    folder.mkdir(exist_ok=True)
    is_pretrained = bool(ARMS[name].objectives)
    # Without pre-training, only its configuration and vocabulary count.
    preset = work / (name if is_pretrained else "ae_par") / "preset"
    if not (folder / "pretrained").is_symlink():
        (folder / "pretrained").symlink_to(preset)
    run = QuickStart(
        {
            "output": os.fspath(folder),
            "task": "name",
            "finetune_steps": settings["finetune_steps"],
            "finetune_batch_size": settings["finetune_batch_size"],
            "seed": int(seed),
        }
    )
    run.finetune("finetuned", os.fspath(preset) if is_pretrained else None)
    held_out = column_arrays(TASKS["name"].pairs("validation"))
    path = run.path("predictions.json")
    return score_task(run.load("finetuned"), held_out, path, name)


def report(work, settings, seeds):
    """Gathers the results, prints the table, draws the plot."""

    def result(name):
        return json.loads(result_path(work, name).read_text())

    rows = {}
    for name, arm in ARMS.items():
        scores = [result(f"finetune {name} {seed}") for seed in seeds]
        row = {"title": arm.title, "seeds": list(seeds)}
        for metric in ("exact_match", "rougeL"):
            row[metric] = spread([score[metric] for score in scores])
        if arm.objectives:
            row["pretraining"] = result(f"pretrain {name}")
            columns = ("squad1_f1", "squad2_f1", "mnli_m", "sst2")
            row["paper"] = dict(zip(columns, arm.paper))
        rows[name] = row
    write_results(
        "ablation",
        {"settings": settings, "data": result("data"), "rows": rows},
        (*PACKAGES, "numpy", "scipy", "scikit-learn"),
    )
    print_table(rows)
    draw(rows, result("data")["trivial"], PLOT)


def spread(values):
    """What is said about one figure of several seeds.

    Args:
        values: list of floats.

    Returns:
        A dict of `values`, `mean`, `min`, `max` and `deviation` (that of a
        sample).

    Example:

    >>> from benchmarks.ablation import spread
    >>> spread([1.0, 2.0, 3.0])["mean"], spread([1.0, 2.0, 3.0])["deviation"]
    (2.0, 1.0)
    """
    return {
        "values": values,
        "mean": statistics.mean(values),
        "min": min(values),
        "max": max(values),
        "deviation": statistics.stdev(values) if len(values) > 1 else 0.0,
    }


def print_table(rows):
    print("| | exact match | min-max | deviation | ROUGE-L | AE | PAR/AR | "
          "s/step |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for row in rows.values():
        match = row["exact_match"]
        pretraining = row.get("pretraining", {})
        held_out = pretraining.get("held_out", {})
        losses = " | ".join(
            f"{held_out[key]:.2f}" if key in held_out else ""
            for key in ("ae_loss", "par_loss")
        )
        seconds = pretraining.get("processor_seconds_per_step")
        print(
            f"| {row['title']} | {match['mean']:.1%} | {match['min']:.1%} to "
            f"{match['max']:.1%} | {100 * match['deviation']:.1f} | "
            f"{row['rougeL']['mean']:.1%} | {losses} | "
            f"{f'{seconds:.3f}' if seconds else ''} |"
        )


def draw(rows, trivial, path):
    """Draws a dot for each seed and a bar for their mean.

    Args:
        rows: dict from arm to its row of the results.
        trivial: dict from method to its scores.
        path: path of the PNG.
    """
    from matplotlib.figure import Figure

    from unilmv2_tf.plots.figures import QUIET_COLOR
    from unilmv2_tf.plots.figures import TEXT_COLOR
    from unilmv2_tf.plots.figures import save_figure

    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for place, row in enumerate(reversed(rows.values())):
        match = row["exact_match"]
        axes.barh(place, 100 * match["mean"], height=0.6, color="#c9d7ea")
        values = [100 * value for value in match["values"]]
        axes.plot(values, [place] * len(values), "o", color="#2f5d9b", ms=4)
    axes.set_yticks(
        range(len(rows)), [row["title"] for row in reversed(rows.values())]
    )
    majority = 100 * trivial["majority"]["exact_match"]
    axes.axvline(majority, color=QUIET_COLOR, linestyle=":", linewidth=1)
    axes.text(
        *(majority, len(rows) - 0.45, " most frequent name"),
        color=QUIET_COLOR,
        fontsize=8,
    )
    label = "exact match on held-out pairs, % (dots: seeds, bars: mean)"
    axes.set_xlabel(label, color=TEXT_COLOR)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
