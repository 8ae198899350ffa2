"""Stopping a training on SIGTERM and Ctrl-C."""

import os
import signal
import sys
import threading


class Stopped(Exception):
    """The training was stopped at `stop_at_step`, after it was saved."""


def raise_stopped(number, message):
    """Ends a training as a signal asks, after the state was saved."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt(message)
    print(f"stopped by SIGTERM: {message}", file=sys.stderr, flush=True)
    # Of status 0, the scheduler of a cluster would take it for completed.
    raise SystemExit(128 + signal.SIGTERM)


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a request that a running graph can read.

    While a graph runs, Python's own signal handlers wait until it returns. So
    the signal wakes a thread, which calls `on_stop`. A second signal kills the
    process. `signal` is the number of the signal that came, or `None`.
    """

    def __init__(self, on_stop=None):
        self.signal = None
        self._on_stop = on_stop
        self._earlier = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread can handle signals.
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            # The number arrives in the pipe; the handler has nothing to do.
            self._earlier[number] = signal.signal(number, lambda *_: None)
        self._wakeup = signal.set_wakeup_fd(self._writer)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        if not self._earlier:
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def _listen(self):
        while number := os.read(self._reader, 1):
            if number[0] not in self._earlier:
                continue
            if self.signal is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            self.signal = number[0]
            if self._on_stop is not None:
                self._on_stop()
