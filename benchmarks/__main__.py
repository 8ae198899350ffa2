"""The command line of the benchmarks.

    python -m benchmarks                  lists them
    python -m benchmarks NAME [FLAGS]     runs one; --help shows its flags
    python -m benchmarks all [--quick]    runs all, then writes the table
    python -m benchmarks table            writes README's table from the results

Each writes results/NAME.json and, if it has one, its picture. See `catalogue`
for what a benchmark is.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import catalogue

ROOT = pathlib.Path(__file__).parent.parent


def main(arguments):
    """Does what the command line says; returns the exit status."""
    name, *rest = arguments or ["list"]
    benchmarks = catalogue.find()
    if name in ("list", "-h", "--help"):
        print(__doc__)
        print_list(benchmarks)
    elif name == "all":
        return run_all(benchmarks, rest)
    elif name == "table":
        from benchmarks.report_table import write_tables

        write_tables()
    elif name not in benchmarks:
        print(
            f"NAME must be one of {', '.join(benchmarks)}, `all` or `table`. "
            f"Received: {name}",
            file=sys.stderr,
        )
        return 2
    elif benchmarks[name].is_regular:
        return run_one(benchmarks[name], rest)
    else:
        sys.argv = [f"python -m benchmarks {name}", *rest]
        benchmarks[name].load().main()
    return 0


def print_list(benchmarks):
    """Prints names and summaries."""
    for is_regular, title in ((True, "In `all`:"), (False, "On their own:")):
        print(title)
        for benchmark in benchmarks.values():
            if benchmark.is_regular == is_regular:
                print(f"  {benchmark.name:18} {benchmark.summary}")


def run_one(benchmark, arguments):
    """Runs a benchmark in this process, and writes what it found.

    Args:
        benchmark: a `catalogue.Benchmark` that is regular.
        arguments: list of strings, its flags.

    Returns:
        The exit status.
    """
    from benchmarks import report

    module = benchmark.load()
    parser = argparse.ArgumentParser(
        f"python -m benchmarks {benchmark.name}",
        description=benchmark.summary,
    )
    parser.add_argument(
        "--quick", action="store_true", help="a run of seconds, to try it out"
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=None,
        help="folder of the results and the picture; default: "
        "benchmarks/results and docs, and none with --quick",
    )
    if hasattr(module, "add_arguments"):
        module.add_arguments(parser)
    settings = parser.parse_args(arguments)
    if settings.quick:
        quick = getattr(module, "QUICK", [])
        settings = parser.parse_args([*quick, *arguments])
    start = time.monotonic()
    try:
        figures = module.run(settings)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{benchmark.name}: {time.monotonic() - start:.0f} s")
    if settings.quick and settings.output is None:
        return 0
    # Figures of another device don't replace those of this one.
    name = figures.pop("name", benchmark.name)
    packages = getattr(module, "PACKAGES", report.PACKAGES)
    report.write_results(
        name,
        figures,
        figures.pop("packages", packages),
        settings.output or report.RESULTS,
    )
    if hasattr(module, "draw") and name == benchmark.name:
        folder = settings.output or ROOT / "docs"
        module.draw(figures, folder / f"benchmark-{benchmark.name}.png")
    return 0


def run_all(benchmarks, arguments):
    """Runs each regular benchmark in a process of its own.

    Args:
        benchmarks: dict from name to `catalogue.Benchmark`.
        arguments: list of strings, flags for all of them.

    Returns:
        The exit status: 1 if one of them failed.
    """
    failed = []
    start = time.monotonic()
    for name in (n for n, b in benchmarks.items() if b.is_regular):
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "benchmarks", name, *arguments]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
    minutes = (time.monotonic() - start) / 60
    print(f"all: {minutes:.0f} minutes; failed: {', '.join(failed) or 'none'}")
    if not failed and "--quick" not in arguments:
        from benchmarks.report_table import write_tables

        write_tables()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
