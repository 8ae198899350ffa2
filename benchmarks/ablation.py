"""Which pre-training objective is worth what: a miniature of table 6.

    python benchmarks/ablation.py --work ablation

The same small model is pre-trained from the same random weights on the same
rows of the embedded corpus for as many steps with each objective, then
fine-tuned with several seeds to name an argument from its description, and
scored on held-out pairs. Each training is a process with one thread, and as
many run at once as there are cores. What is done is kept in the work folder:
the same command goes on from there. Results go to
benchmarks/results/ablation.json and docs/ablation.png; docs/ablation.md
discusses them.

Reference: Bao et al., 2020, section 4.6 and table 6.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from unilmv2_tf.atomic import write_text
from unilmv2_tf.trainers.pretraining.settings import PretrainingSettings
from unilmv2_tf.trainers.pretraining.settings import check_same_settings

ROOT = pathlib.Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "ablation.json"
PLOT = ROOT / "docs" / "ablation.png"

# In the paper's order. `block_probability=0` makes PAR autoregressive.
WITHOUT = {"num_relative_buckets": 0}
OBJECTIVES = {
    "AE+PAR, rel pos": {"objectives": ["ae", "par"]},
    "AE+PAR": {"objectives": ["ae", "par"], "backbone": WITHOUT},
    "AE+AR": {
        "objectives": ["ae", "par"],
        "block_probability": 0.0,
        "backbone": WITHOUT,
    },
    "AE": {"objectives": ["ae"], "backbone": WITHOUT},
    "PAR": {"objectives": ["par"], "backbone": WITHOUT},
    "AR": {
        "objectives": ["par"],
        "block_probability": 0.0,
        "backbone": WITHOUT,
    },
}
# Fine-tuning from random weights.
SCRATCH = "no pre-training"
PAPER = {
    "AE+PAR, rel pos": {"squad_1": 92.0, "mnli": 86.1},
    "AE+PAR": {"squad_1": 91.5, "mnli": 85.6},
    "AE+AR": {"squad_1": 90.8, "mnli": 85.4},
    "AE": {"squad_1": 91.0, "mnli": 84.9},
    "PAR": {"squad_1": 90.7, "mnli": 84.9},
    "AR": {"squad_1": 89.9, "mnli": 84.8},
}


def main():
    options = parse()
    os.makedirs(options.work, exist_ok=True)
    if options.job:
        run_job(options)
        return
    remember(options)
    jobs = ["prepare"]
    # Those with relative positions last: they are the extra row.
    names = [*OBJECTIVES][1:] + [*OBJECTIVES][:1]
    jobs += [f"pretrain {name}" for name in names]
    jobs += [
        f"finetune {name} {seed}"
        for name in [SCRATCH, *names]
        for seed in range(1, options.seeds + 1)
    ]
    run_all(options, jobs)
    report = make_report(options)
    write_text(options.results, json.dumps(report, indent=2) + "\n")
    plot(report, options.plot)
    print(table(report))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pretrain_steps", type=int, default=3000)
    parser.add_argument("--finetune_steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held_out", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--plot", type=pathlib.Path, default=PLOT)
    # What one of the processes does.
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


def remember(options):
    """Results of different budgets must not be mixed in a work folder."""
    settings = {
        name: getattr(options, name)
        for name in ("pretrain_steps", "finetune_steps", "held_out")
    }
    path = options.work / "settings.json"
    if path.exists():
        check_same_settings(path, settings)
    write_text(path, json.dumps(settings) + "\n")


# === Processes ===


def run_all(options, jobs):
    """Runs jobs in processes of their own, each after what it needs."""
    futures = {}
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.processes) as pool:
        for job in jobs:
            # These come earlier in the queue, so that nothing waits for ever.
            needed = [futures[name] for name in needs(job) if name in futures]
            futures[job] = pool.submit(run_process, options, job, needed)
        try:
            finished = concurrent.futures.as_completed(futures.values())
            for count, future in enumerate(finished, 1):
                minutes = (time.monotonic() - start) / 60
                print(
                    f"[{count}/{len(jobs)}, {minutes:.1f} min] "
                    f"{future.result()}",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def needs(job):
    kind, _, rest = job.partition(" ")
    if kind == "prepare":
        return []
    if kind == "pretrain":
        return ["prepare"]
    return ["prepare", f"pretrain {rest.rpartition(' ')[0]}"]


def run_process(options, job, needed):
    for future in needed:
        future.result()
    if not result_path(options, job).exists():
        environment = {
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
        }
        log = options.work / f"{job}.log"
        with open(log, "w", encoding="utf-8") as file:
            process = subprocess.run(
                [sys.executable, *sys.argv, "--job", job],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        if process.returncode:
            raise RuntimeError(f"{job} failed, see {log}")
    figures = ", ".join(
        f"{name} {value:.4g}"
        for name, value in result(options, job).items()
        if isinstance(value, float)
    )
    return f"{job}: {figures}"


def result_path(options, job):
    return options.work / f"{job}.json"


def result(options, job):
    return json.loads(result_path(options, job).read_text(encoding="utf-8"))


def run_job(options):
    kind, _, rest = options.job.partition(" ")
    start = time.monotonic()
    if kind == "prepare":
        figures = prepare_data(options)
    elif kind == "pretrain":
        figures = pretrain_objective(options, rest)
    else:
        name, _, seed = rest.rpartition(" ")
        figures = finetune(options, name, int(seed))
    figures["seconds"] = time.monotonic() - start
    write_text(
        result_path(options, options.job), json.dumps(figures, indent=2) + "\n"
    )


# === Jobs ===


def prepare_data(options):
    """Vocabulary, packed rows, and the scores of trivial methods."""
    from unilmv2_tf.trainers.prepare import prepare
    from unilmv2_tf.trainers.quickstart_scores import TASKS
    from unilmv2_tf.trainers.quickstart_scores import column_arrays
    from unilmv2_tf.trainers.quickstart_scores import score_trivial_methods
    from unilmv2_tf.trainers.vocabulary import vocabulary

    path = str(options.work / "vocabulary.txt")
    vocabulary("docstrings:", path, vocabulary_size=4000)
    counted = prepare(
        "docstrings:",
        path,
        str(options.work / "shards"),
        sequence_length=64,
        num_workers=1,
        overwrite=True,
    )
    task = TASKS["name"]
    train = column_arrays(task.pairs("train"))
    return {
        "splits": counted["splits"],
        "training_pairs": len(train["encoder_text"]),
        "trivial_methods": score_trivial_methods(
            task, train, held_out_pairs(options)
        ),
    }


def held_out_pairs(options):
    """Pairs spread evenly over the held-out ones."""
    import numpy as np

    from unilmv2_tf.trainers.quickstart_scores import TASKS
    from unilmv2_tf.trainers.quickstart_scores import column_arrays

    columns = column_arrays(TASKS["name"].pairs("validation"))
    last = len(columns["encoder_text"]) - 1
    places = np.linspace(0, last, min(options.held_out, last + 1)).astype(int)
    return {name: column[places] for name, column in columns.items()}


def pretrain_objective(options, name):
    from unilmv2_tf.trainers.fitting import read_history
    from unilmv2_tf.trainers.pretrain import pretrain

    steps = options.pretrain_steps
    output = options.work / f"pretraining {name}"
    arguments = OBJECTIVES[name]
    settings = PretrainingSettings(
        data=str(options.work / "shards"),
        output=str(output),
        preset="unilmv2_tiny",
        num_steps=steps,
        batch_size=16,
        learning_rate=1e-3,
        warmup_steps=round(0.05 * steps),
        clip_norm=1.0,
        seed=1,
        steps_per_loop=min(100, steps),
        checkpoint_interval=500,
        keep=1,
        evaluation_interval=steps,
        evaluation_rows=2048,
        tensorboard=False,
        # As in the quick start: each row is seen less than once.
        **{
            **arguments,
            "backbone": {"dropout": 0.0, **arguments.get("backbone", {})},
        },
    )
    if not pretrain(settings):
        raise KeyboardInterrupt("stopped before the end")
    history = read_history(output / "history.csv")
    speeds = [
        16 / row["examples_per_second"]
        for row in history
        # The first loop compiles the graph.
        if "examples_per_second" in row and row["step"] > 100
    ]
    losses = {k: v for k, v in history[-1].items() if k.startswith("val_")}
    return {
        **losses,
        "seconds_per_step_fastest": min(speeds, default=float("nan")),
        "seconds_per_step_median": statistics.median(speeds or [float("nan")]),
    }


def finetune(options, name, seed):
    import keras

    from unilmv2_tf import BeamSearchSampler
    from unilmv2_tf.trainers.fitting import fit_resumably
    from unilmv2_tf.trainers.optimization import make_optimizer
    from unilmv2_tf.trainers.quickstart_scores import TASKS
    from unilmv2_tf.trainers.quickstart_scores import column_arrays
    from unilmv2_tf.trainers.quickstart_scores import score_task

    task = TASKS["name"]
    keras.utils.set_random_seed(seed)
    seq_2_seq_lm = make_seq_2_seq_lm(options, name, task.lengths, seed)
    seq_2_seq_lm.compile(
        optimizer=make_optimizer(
            1e-3, options.finetune_steps, global_clipnorm=1.0
        ),
        sampler=BeamSearchSampler(
            num_beams=3, length_penalty=task.length_penalty
        ),
    )
    folder = options.work / f"finetuning {name} {seed}"
    history = fit_resumably(
        seq_2_seq_lm,
        column_arrays(task.pairs("train")),
        batch_size=32,
        num_steps=options.finetune_steps,
        folder=str(folder),
        label="fine-tuning",
        steps_per_save=100,
        seed=seed,
    )
    scores = score_task(
        seq_2_seq_lm,
        held_out_pairs(options),
        str(folder / "predictions.json"),
        name,
    )
    return {**scores, "training_loss": history[-1]["loss"]}


def make_seq_2_seq_lm(options, name, lengths, seed):
    from unilmv2_tf import UniLMv2Backbone
    from unilmv2_tf import UniLMv2Seq2SeqLM
    from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
    from unilmv2_tf import UniLMv2Tokenizer
    from unilmv2_tf.preprocessing.vocabulary import load_vocabulary

    tokenizer = UniLMv2Tokenizer(
        load_vocabulary(options.work / "vocabulary.txt")
    )
    preprocessor = UniLMv2Seq2SeqLMPreprocessor(
        tokenizer,
        encoder_sequence_length=lengths[0],
        decoder_sequence_length=lengths[1],
        seed=seed,
    )
    if name != SCRATCH:
        return UniLMv2Seq2SeqLM.from_preset(
            str(options.work / f"pretraining {name}" / "preset"),
            preprocessor=preprocessor,
            dropout=0.1,
        )
    backbone = UniLMv2Backbone.from_preset(
        "unilmv2_tiny",
        vocabulary_size=tokenizer.vocabulary_size(),
        dropout=0.1,
        **WITHOUT,
    )
    return UniLMv2Seq2SeqLM(backbone, preprocessor)


# === Results ===


def make_report(options):
    rows = {}
    for name in [*OBJECTIVES, SCRATCH]:
        seeds = [
            result(options, f"finetune {name} {seed}")
            for seed in range(1, options.seeds + 1)
        ]
        rows[name] = {
            metric: spread([figures[metric] for figures in seeds])
            for metric in ("exact_match", "rougeL")
        }
        if name != SCRATCH:
            rows[name]["pretraining"] = result(options, f"pretrain {name}")
            rows[name]["paper"] = PAPER[name]
    jobs = [path for path in options.work.glob("*.json")]
    seconds = [json.loads(path.read_text()).get("seconds") for path in jobs]
    return {
        "settings": json.loads((options.work / "settings.json").read_text()),
        "seeds": options.seeds,
        "machine": machine(options),
        "process_seconds": sum(filter(None, seconds)),
        "data": result(options, "prepare"),
        "rows": rows,
    }


def spread(values):
    return {
        "seeds": values,
        "mean": statistics.mean(values),
        "lowest": min(values),
        "highest": max(values),
        "standard_deviation": (
            statistics.stdev(values) if len(values) > 1 else 0.0
        ),
    }


def machine(options):
    import keras
    import keras_hub
    import tensorflow as tf

    model = platform.processor()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "processes": options.processes,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_hub": keras_hub.__version__,
    }


def table(report):
    """The results as a Markdown table."""
    lines = [
        "| | exact match | lowest-highest | s.d. | ROUGE-L | loss AE | "
        "loss PAR/AR | ms a step | paper: SQuAD 1.1 F1 | paper: MNLI |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in report["rows"].items():
        match, rouge = row["exact_match"], row["rougeL"]
        training, paper = row.get("pretraining", {}), row.get("paper", {})
        figures = [
            f"{match['mean']:.1%}",
            f"{match['lowest']:.1%}-{match['highest']:.1%}",
            f"{match['standard_deviation']:.1%}",
            f"{rouge['mean']:.1%}",
            _cell(training.get("val_ae_loss"), ".2f"),
            _cell(training.get("val_par_loss"), ".2f"),
            _cell(training.get("seconds_per_step_fastest"), ".0f", 1000),
            _cell(paper.get("squad_1"), ".1f"),
            _cell(paper.get("mnli"), ".1f"),
        ]
        lines.append(f"| {name} | " + " | ".join(figures) + " |")
    for name, scores in report["data"]["trivial_methods"].items():
        cells = [
            f"{scores['exact_match']:.1%}",
            "",
            "",
            f"{scores['rougeL']:.1%}",
        ]
        lines.append(f"| {name} | " + " | ".join(cells + [""] * 5) + " |")
    return "\n".join(lines)


def _cell(value, form, factor=1):
    return "" if value is None else format(value * factor, form)


def plot(report, path):
    """Dots for the seeds and a line for their mean, in the paper's order."""
    from matplotlib.figure import Figure

    from unilmv2_tf.atomic import replacing

    rows = report["rows"]
    figure = Figure(figsize=(7.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for place, (name, row) in enumerate(rows.items()):
        match = row["exact_match"]
        color = "gray" if name == SCRATCH else "C0"
        seeds = [100 * value for value in match["seeds"]]
        axes.plot([place] * len(seeds), seeds, "o", color=color, alpha=0.6)
        mean = 100 * match["mean"]
        axes.hlines(mean, place - 0.25, place + 0.25, color=color, linewidth=2)
    axes.set_xticks(
        range(len(rows)), [name.replace(", ", ",\n") for name in rows]
    )
    axes.set_ylim(bottom=0)
    axes.set_ylabel("exact match on held-out pairs (%)")
    axes.grid(axis="y", alpha=0.3)
    axes.set_title("Fine-tuned after each objective: seeds and their mean")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


if __name__ == "__main__":
    main()
