"""Measures several contenders alternately, each in a process of its own.

A contender is a function `make(settings)` that returns a function of no
arguments: one step, done when it returns. Each lives in a process, so that
libraries do not share threads or memory; only one of them works at a time,
and all of them once in each round. What the machine does besides hits all
of a round alike: figures to trust are ratios of one round.
"""

import contextlib
import importlib
import multiprocessing
import os
import resource
import statistics
import sys
import time

# Seconds to wait for a process that was asked to end.
_PATIENCE = 10


class Contender:
    """A process that takes steps when it is told to.

    Args:
        factory: string `"module:function"`, of a function from settings to a
            step.
        settings: dict, handed to the function.
        environment: dict of strings, of the process only. Defaults to `None`.

    Raises:
        RuntimeError: if the contender cannot be made, or a step fails; the
            traceback is in it.
    """

    def __init__(self, factory, settings, environment=None):
        self.factory = factory
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, factory, settings), daemon=True
        )
        with _environment(environment or {}):
            self._process.start()
        theirs.close()
        self.made = self._receive()

    def step(self):
        """Takes a step.

        Returns:
            A dict of `seconds`, `processor_seconds` and `peak_mb`: the
            resident memory at its highest during this step.
        """
        self._pipe.send("step")
        return self._receive()

    def close(self):
        """Ends the process."""
        with contextlib.suppress(OSError):
            self._pipe.send("close")
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self):
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError(
                f"{self.factory} ended without an answer; was it killed for "
                "its memory?"
            ) from None
        if kind == "error":
            self.close()
            raise RuntimeError(f"{self.factory} failed:\n{value}")
        return value


@contextlib.contextmanager
def _environment(values):
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe, factory, settings):
    import traceback

    try:
        start = time.perf_counter()
        module, _, name = factory.partition(":")
        limit_threads(settings.get("threads"))
        module = importlib.import_module(module)
        imported = time.perf_counter()
        step = getattr(module, name)(settings)
        made = time.perf_counter()
        step()
        pipe.send(
            (
                "made",
                {
                    "import_seconds": imported - start,
                    "make_seconds": made - imported,
                    "first_step_seconds": time.perf_counter() - made,
                },
            )
        )
        while pipe.recv() == "step":
            _forget_peak_memory()
            start, cpu = time.perf_counter(), time.process_time()
            step()
            pipe.send(
                (
                    "step",
                    {
                        "seconds": time.perf_counter() - start,
                        "processor_seconds": time.process_time() - cpu,
                        "peak_mb": peak_memory(),
                    },
                )
            )
    except EOFError:
        pass
    except BaseException:
        pipe.send(("error", traceback.format_exc()))


def limit_threads(threads):
    """Gives every library of this process the same number of threads.

    Args:
        threads: int, or `None` for one for each core.
    """
    threads = threads or os.cpu_count()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
    os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def peak_memory():
    """Peak resident memory in MB, since it was last forgotten on Linux."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def _forget_peak_memory():
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as f:
        f.write("5")


def _say(text):
    print(text, flush=True)


def measure(contenders, rounds, settings, num_warmups=2, say=_say):
    """Lets contenders take steps by turns.

    Args:
        contenders: dict from name to `"module:function"`, or to a tuple of
            that and a dict of settings of its own; the key `"environment"` of
            it is for the process.
        rounds: int. How often each takes a measured step.
        settings: dict for all of them.
        num_warmups: int. Steps before these, that build graphs and fill
            caches. Defaults to `2`.
        say: function of a line about the progress. Defaults to
            printing it.

    Returns:
        A dict from name to a dict of `seconds`, `processor_seconds` and
        `peak_mb`, each a list with an entry for each round, and `made`: the
        seconds that it took to be ready.
    """
    running, samples = {}, {}
    try:
        for name, contender in contenders.items():
            if isinstance(contender, str):
                contender = (contender, {})
            factory, own = contender
            own = dict(own)
            environment = own.pop("environment", None)
            say(f"  making {name}")
            running[name] = Contender(factory, {**settings, **own}, environment)
            for _ in range(num_warmups - 1):
                running[name].step()
            samples[name] = {"made": running[name].made}
        say("  measuring")
        for number in range(rounds):
            for name, contender in running.items():
                for key, value in contender.step().items():
                    samples[name].setdefault(key, []).append(value)
            last = ", ".join(
                f"{name} {samples[name]['seconds'][-1]:.3g}" for name in running
            )
            say(f"  round {number + 1} of {rounds}, seconds: {last}")
        say("  measured")
    finally:
        for contender in running.values():
            contender.close()
    return samples


def spread(values):
    """Median, lowest and highest of some numbers.

    Example:

    >>> from benchmarks.alternating import spread
    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'lowest': 1.0, 'highest': 3.0}
    """
    return {
        "median": _rounded(statistics.median(values)),
        "lowest": _rounded(min(values)),
        "highest": _rounded(max(values)),
    }


def ratio(ones, others):
    """The spread of the ratios of numbers that were measured by turns.

    Example:

    >>> from benchmarks.alternating import ratio
    >>> ratio([2.0, 6.0], [1.0, 2.0])
    {'median': 2.5, 'lowest': 2.0, 'highest': 3.0}
    """
    return spread([one / other for one, other in zip(ones, others)])


def _rounded(value, digits=4):
    return float(f"{value:.{digits}g}")


def shown(figure, digits=2):
    """A spread as text.

    Example:

    >>> from benchmarks.alternating import shown
    >>> shown({"median": 2.5, "lowest": 2.0, "highest": 3.0}, 1)
    '2.5 (2.0-3.0)'
    """
    return "{median:.{d}f} ({lowest:.{d}f}-{highest:.{d}f})".format(
        d=digits, **figure
    )
