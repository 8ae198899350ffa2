"""Stopping a training on SIGTERM and Ctrl-C."""

import os
import signal
import threading


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

    def ask(self, number=signal.SIGTERM):
        """Requests a stop, as the signal would."""
        self.signal = number
        if self._on_stop is not None:
            self._on_stop()

    def _listen(self):
        while number := os.read(self._reader, 1):
            if number[0] not in self._earlier:
                continue
            if self.signal is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            self.ask(number[0])
