import os
import signal
import sys

from unilmv2_tf.training.pretraining.settings import PretrainingSettings

# Restarts in a row without a new checkpoint, before a worker gives up.
_MOST_RESTARTS = 5
_RESTARTS = "UNILMV2_RESTARTS"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after the state was saved."""


class WorkerLost(OSError):
    """Another worker cannot be reached any more."""


def pretrain(settings: PretrainingSettings):
    """Pre-trains a model on shards that `unilmv2 prepare` wrote.

    The output folder holds `history.csv`, `curves.png`, the last and the best
    checkpoints, events for TensorBoard, and in the end `preset`, which
    `from_preset` loads. The same call goes on where an earlier one was ended:
    with the same weights in the end, bit for bit, as if it had not been.

    Args:
        settings: `PretrainingSettings`.

    Returns:
        True if the training is done, False if SIGTERM ended it before, after
        the state was saved.

    Raises:
        ValueError: if settings, shards and output folder do not go together.
        OSError: if the output folder cannot be written.
        WorkerLost: if another worker ended.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.

    Example:

    ```python
    pretrain(PretrainingSettings(
        data="shards", output="run", preset="unilmv2_mini", num_steps=10_000))
    ```

    Reference:
        Bao et al., 2020, sections 3 and 4.1.
    """
    # TensorFlow takes seconds to import, help should not.
    import tensorflow as tf

    from unilmv2_tf.training.pretraining.run import PretrainingRun

    run = None
    try:
        run = PretrainingRun(settings)
        is_done = run.run()
    except (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    ) as error:
        if settings.strategy != "multiworker":
            raise
        lost = WorkerLost(
            "Another worker was lost. Start it again: all go on from the last "
            f"checkpoint in {settings.output}"
        )
        lost.step = run.first_step if run else 0
        raise lost from error
    if not is_done:
        message = (
            f"saved at step {int(run.global_step.numpy()):,} of "
            f"{settings.num_steps:,}; the same command goes on from there"
        )
        if run.signal == signal.SIGINT:
            raise Interrupted(f"interrupted, {message}")
        print(f"pre-training: stopped, {message}", flush=True)
    return is_done


def pretrain_command(settings: PretrainingSettings):
    """Pre-trains; a worker that lost another starts itself again.

    The other one is started again by whoever started it. Then all of them go
    on from the last checkpoint.

    Args:
        settings: `PretrainingSettings`.
    """
    try:
        pretrain(settings)
    except WorkerLost as error:
        step, count = _restarts()
        count = count + 1 if step == error.step else 1
        if count > _MOST_RESTARTS:
            raise
        print(
            "pre-training: another worker was lost; starting again from the "
            "last checkpoint, and waiting for it",
            file=sys.stderr,
            flush=True,
        )
        os.environ[_RESTARTS] = f"{error.step}:{count}"
        os.execv(sys.executable, sys.orig_argv)


def _restarts():
    step, _, count = os.environ.get(_RESTARTS, "-1:0").partition(":")
    return int(step), int(count)
