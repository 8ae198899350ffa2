"""Contests: implementations take steps by turns, each in its own process.

A contender is a function from a dict of settings to a step, a function without
arguments that is done when it returns. Each runs in a process, so that
libraries share neither threads nor memory. Only one works at a time, and each
takes one step a round, so that other load on the machine hits all of a round
alike: the ratios of one round are the figures to trust.
"""

import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import pathlib
import statistics
import time
import traceback


def installed(peers):
    """The factories of those peers whose packages are installed."""
    found = {}
    for name, (factory, packages, extra) in peers.items():
        missing = [p for p in packages if importlib.util.find_spec(p) is None]
        if missing:
            print(
                f"  {name} is skipped, {', '.join(missing)} is not installed: "
                f"pip install 'unilmv2_tf[{extra}]'"
            )
        else:
            found[name] = factory
    return found


def measure(contenders, rounds, settings, num_warmups=2):
    """Lets contenders take steps by turns.

    A contender is `"module:function"`, or a tuple of that and settings of its
    own. The result has lists of `seconds` and `peak_mb` (of resident memory) by
    name, and `made`, the seconds until the contender was ready.
    """
    running, samples = {}, {}
    try:
        for name, contender in contenders.items():
            print(f"  making {name}", flush=True)
            factory, own = (
                (contender, {}) if isinstance(contender, str) else contender
            )
            running[name] = _Contender(name, factory, {**settings, **own})
            for _ in range(num_warmups - 1):
                running[name].step()
            made = running[name].made
            samples[name] = {"made": made, "seconds": [], "peak_mb": []}
        for number in range(rounds):
            for name, contender in running.items():
                seconds, peak_mb = contender.step()
                samples[name]["seconds"].append(seconds)
                samples[name]["peak_mb"].append(peak_mb)
            latest = ", ".join(
                f"{name} {sample['seconds'][-1]:.3g}"
                for name, sample in samples.items()
            )
            print(f"  round {number + 1}, seconds: {latest}", flush=True)
    finally:
        for contender in running.values():
            contender.close()
    return samples


class _Contender:
    """A process that takes a step when it is told to."""

    def __init__(self, name, factory, settings):
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_work, args=(theirs, factory, settings), daemon=True
        )
        self._process.start()
        theirs.close()
        self.made = self._receive()

    def step(self):
        self._pipe.send("step")
        return self._receive()

    def close(self):
        with contextlib.suppress(OSError):
            self._pipe.send("close")
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self):
        try:
            is_error, value = self._pipe.recv()
        except EOFError:
            is_error, value = True, "it ended; was it killed for its memory?"
        if is_error:
            raise RuntimeError(f"{self.name} failed:\n{value}")
        return value


def _work(pipe, factory, settings):
    try:
        start = time.perf_counter()
        limit_threads(settings.get("threads"))
        module, _, name = factory.partition(":")
        make = getattr(importlib.import_module(module), name)
        imported = time.perf_counter()
        step = make(settings)
        made = time.perf_counter()
        step()
        times = {
            "import_seconds": imported - start,
            "make_seconds": made - imported,
            "first_step_seconds": time.perf_counter() - made,
        }
        pipe.send((False, times))
        while pipe.recv() == "step":
            # Linux then counts the peak anew.
            pathlib.Path("/proc/self/clear_refs").write_text("5")
            start = time.perf_counter()
            step()
            seconds = time.perf_counter() - start
            pipe.send((False, (seconds, _peak_mb())))
    except EOFError:
        pass
    except BaseException:
        pipe.send((True, traceback.format_exc()))


def limit_threads(threads):
    """Gives every library of this process the same number of threads."""
    for name in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ[name] = str(threads or os.cpu_count())


def _peak_mb():
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmHWM"].split()[0]) / 1e3


def spread(values):
    """Median, lowest and highest of some numbers.

    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'lowest': 1.0, 'highest': 3.0}
    """
    found = (statistics.median(values), min(values), max(values))
    found = [float(f"{value:.4g}") for value in found]
    return dict(zip(("median", "lowest", "highest"), found))


def spreads(samples, key="seconds"):
    """The spread of each contender's samples."""
    return {name: spread(sample[key]) for name, sample in samples.items()}


def ratio(ones, others):
    """The spread of the ratios of numbers that were measured by turns.

    >>> ratio([2.0, 6.0], [1.0, 2.0])
    {'median': 2.5, 'lowest': 2.0, 'highest': 3.0}
    """
    return spread([one / other for one, other in zip(ones, others)])


def inverse(figure):
    """The spread of the inverse of a figure.

    >>> inverse({"median": 0.5, "lowest": 0.25, "highest": 1.0})
    {'median': 2.0, 'lowest': 1.0, 'highest': 4.0}
    """
    names = {"median": "median", "lowest": "highest", "highest": "lowest"}
    return {name: 1 / figure[other] for name, other in names.items()}


def shown(figure, digits=2, unit=""):
    """A spread as text.

    >>> shown({"median": 2.5, "lowest": 2.0, "highest": 3.0}, 1, "x")
    '2.5x (2.0-3.0)'
    """
    names = ("median", "lowest", "highest")
    median, *ends = (f"{figure[name]:,.{digits}f}" for name in names)
    # A single measurement has no range.
    is_single = figure["lowest"] == figure["highest"]
    return f"{median}{unit}" + ("" if is_single else f" ({'-'.join(ends)})")


def faster_than(peer, speed):
    """Says which of two is faster; `speed` is the peer's time through ours.

    >>> faster_than("BART", {"median": 2.0, "lowest": 1.5, "highest": 2.5})
    'faster than BART by 2.00x (1.50-2.50)'
    >>> faster_than("BART", {"median": 0.5, "lowest": 0.4, "highest": 0.8})
    'slower than BART by 2.00x (1.25-2.50)'
    >>> faster_than("BART", {"median": 1.1, "lowest": 0.9, "highest": 1.2})
    'no measurable difference to BART: 1.10x (0.90-1.20) its speed'
    """
    if speed["lowest"] <= 1 <= speed["highest"]:
        times = shown(speed, unit="x")
        return f"no measurable difference to {peer}: {times} its speed"
    if speed["median"] > 1:
        return f"faster than {peer} by {shown(speed, unit='x')}"
    return f"slower than {peer} by {shown(inverse(speed), unit='x')}"
