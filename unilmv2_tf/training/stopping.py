import os
import signal
import threading

import tensorflow as tf


class StopRequest:
    """Turns SIGTERM and Ctrl-C into a wish that a running graph can read.

    While a graph runs, Python's own handlers wait until it returns. A thread
    that is woken by the signal itself sets a variable, which the loop in the
    graph reads after each step. A second signal of the kind ends the process.

    Args:
        variable: bool `tf.Variable` on the CPU, or `None` for graphs that
            must not stop by themselves, because others wait for them.

    Attributes:
        signal: the number of the signal that came, or `None`.
    """

    def __init__(self, variable=None):
        self.signal = None
        self._variable = variable
        self._earlier = {}

    def __enter__(self):
        if threading.current_thread() is not threading.main_thread():
            # Signals are the main thread's; there is none to listen to here.
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._earlier[number] = signal.signal(number, self._ignore)
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

    def ask(self):
        """Asks to stop, as a signal would."""
        self._receive(signal.SIGTERM)

    def _ignore(self, number, frame):
        # The thread has the signal from the pipe.
        del number, frame

    def _listen(self):
        while number := os.read(self._reader, 1):
            if number[0] not in self._earlier:
                continue
            if self.signal is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            self._receive(number[0])

    def _receive(self, number):
        self.signal = number
        if self._variable is not None:
            self._variable.assign(True)


def stop_variable():
    """A variable for `StopRequest`.

    Returns:
        A bool `tf.Variable` on the CPU.
    """
    with tf.device("CPU:0"):
        return tf.Variable(False, trainable=False)
