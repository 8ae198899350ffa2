"""The command line of the benchmarks.

    python -m benchmarks                  lists them
    python -m benchmarks NAME [FLAGS]     runs one; --help shows its flags
    python -m benchmarks all [--quick]    runs all that take minutes
    python -m benchmarks table            writes the tables of README and docs

A benchmark is a module of this folder with

    run(...) -> dict        measures; its arguments are the flags
    QUICK                   dict of arguments for a run of seconds
    draw(figures, path)     optional: its picture, docs/benchmark-NAME.png
    summary(figures)        optional: its rows of README's table
    tables(figures)         optional: its tables in docs, by name

and writes results/NAME.json.
"""

import importlib
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jsonargparse

from benchmarks import reports

BENCHMARKS = {
    "training": "a pre-training step beside BERT's of two libraries",
    "finetuning": "a sequence-to-sequence step beside BART's of two libraries",
    "decoding": "beam search beside BART's of two libraries",
    "attention": "attention by segments of the row beside dense attention",
    "input_pipeline": "masked batches from shards and from text",
    "startup": "seconds until the import and the first step are done",
    "serving": "latency of exported models beside live ones and PyTorch",
    "kill_and_resume": "a pre-training killed 20 times beside one that is not",
    "ablation": "the paper's ablation of the objectives, in miniature",
}
# On their own: they take more than an hour together.
LONG = ("kill_and_resume", "ablation")


def main(arguments):
    """Runs the command line; returns the exit status."""
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(__doc__)
        for name, summary in BENCHMARKS.items():
            print(f"  {name:16} {summary}")
        return 0
    if name == "all":
        return run_all(rest)
    if name == "table":
        reports.write_tables(BENCHMARKS)
        return 0
    if name in BENCHMARKS:
        return run_one(name, rest)
    print(
        f"NAME must be one of {', '.join(BENCHMARKS)}, `all` or `table`. "
        f"Received: {name}",
        file=sys.stderr,
    )
    return 2


def run_one(name, arguments):
    """Runs a benchmark and writes its figures; returns the exit status."""
    module = importlib.import_module(f"benchmarks.{name}")
    parser = jsonargparse.ArgumentParser(
        f"python -m benchmarks {name}", description=module.__doc__
    )
    parser.add_argument(
        "--quick", action="store_true", help="a run of seconds, to try it out"
    )
    parser.add_argument(
        "--output",
        type=str | None,
        default=None,
        help="folder of results and picture; default: benchmarks/results and "
        "docs, and none with --quick",
    )
    parser.add_function_arguments(module.run)
    if "--quick" in arguments:
        parser.set_defaults(module.QUICK)
    settings = parser.parse_args(arguments).as_dict()
    is_quick, output = settings.pop("quick"), settings.pop("output")
    try:
        figures = module.run(**settings)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if is_quick and output is None:
        return 0
    # Figures of another device or precision are kept apart.
    variant = figures.pop("variant", None)
    reports.write_results(
        f"{name}-{variant}" if variant else name,
        {"settings": settings, **figures},
        output or reports.RESULTS,
    )
    if hasattr(module, "draw") and not variant:
        folder = pathlib.Path(output or reports.ROOT / "docs")
        figures = {"settings": settings, **figures}
        module.draw(figures, folder / f"benchmark-{name}.png")
    return 0


def run_all(arguments):
    """Runs each in a process of its own; returns the exit status."""
    failed = []
    for name in BENCHMARKS:
        if name in LONG:
            continue
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *arguments]
        if subprocess.run(command, cwd=reports.ROOT).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed) or 'none'}")
    if not failed and "--quick" not in arguments:
        reports.write_tables(BENCHMARKS)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
