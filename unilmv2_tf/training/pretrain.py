"""`unilmv2 pretrain`: the training loop, from arguments to the preset."""

import hashlib
import os
import shutil
import signal
import sys
import time

from unilmv2_tf.training.arguments import PretrainArgs

# Restarts in a row without a new checkpoint before a worker gives up.
MAX_RESTARTS = 5


class WorkerLost(OSError):
    """Another worker cannot be reached any more."""


def pretrain(args: PretrainArgs) -> bool:
    """Pre-trains a model on the token shards of `unilmv2 prepare`.

    The output folder holds `history.csv`, `curves.png`, the latest and the
    best checkpoints, events for TensorBoard, and in the end `preset`, which
    `from_preset` loads. The same call resumes an interrupted run; the weights
    are bit-identical to those of an uninterrupted one.

    Args:
        args: `PretrainArgs`.

    Returns:
        True if the training is done, False at `stop_at_step`.

    Raises:
        ValueError: if arguments, shards and output folder do not match.
        OSError: if the output folder cannot be written.
        WorkerLost: if another worker ended.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
        SystemExit: on SIGTERM, after the state was saved, with status 143.

    Example:

    ```python
    pretrain(PretrainArgs(
        data="shards", output="run", preset="unilmv2_mini", num_steps=10_000))
    ```

    Reference:
        Bao et al., 2020, sections 3 and 4.1.
    """
    # TensorFlow takes seconds to import; help should not.
    import keras

    from unilmv2_tf.datasets import open_token_shards
    from unilmv2_tf.progress import Progress
    from unilmv2_tf.run_settings import check_same_settings
    from unilmv2_tf.run_settings import recorded_settings
    from unilmv2_tf.training.fitting import make_callbacks
    from unilmv2_tf.training.history import History
    from unilmv2_tf.training.pretraining_task import check_positions
    from unilmv2_tf.training.pretraining_task import make_preprocessor
    from unilmv2_tf.training.pretraining_task import make_task
    from unilmv2_tf.training.pretraining_task import row_sizes
    from unilmv2_tf.training.pretraining_task import training_flops
    from unilmv2_tf.training.schedules import check_schedule
    from unilmv2_tf.training.stopping import StopRequest
    from unilmv2_tf.training.stopping import raise_stopped
    from unilmv2_tf.training.strategies import check_replicas
    from unilmv2_tf.training.tensorflow_engine import WORKER_LOST
    from unilmv2_tf.training.tensorflow_engine import TensorFlowEngine

    # 1. Mistakes are found before a device is used.
    shards = open_token_shards(args.data)
    check_positions(args, shards)
    check_schedule(args.schedule)
    callbacks = make_callbacks(args.callbacks)
    os.makedirs(args.output, exist_ok=True)

    first_step = 0
    try:
        # 2. Devices, then the model and its optimizer on them.
        engine = TensorFlowEngine(args)
        check_replicas(args, engine.num_replicas)
        keras.utils.set_random_seed(args.seed)
        preprocessor = make_preprocessor(args, shards)
        if engine.is_chief:
            vocabulary = "\n".join(shards.vocabulary).encode()
            check_same_settings(
                args.output,
                {
                    **recorded_settings(args),
                    "rows": shards.num_rows("train"),
                    "sequence_length": shards.sequence_length,
                    "vocabulary": hashlib.sha256(vocabulary).hexdigest(),
                },
            )
        engine.build(lambda: make_task(args, shards, preprocessor))
        task = engine.task
        if engine.is_chief:
            check_disk(args, engine.checkpoints.size())

        # 3. The latest checkpoint; the input starts at its step.
        first_step = step = engine.restore()
        engine.start_input(shards, preprocessor, step)
        history = History(
            args.output, step, args.tensorboard and engine.is_chief
        )

        def say(text):
            if engine.is_chief:
                print(f"pre-training: {text}", flush=True)

        if step:
            say(f"resumes from step {step:,}")
        can_evaluate = engine.held_out is not None
        if not can_evaluate:
            say("no validation split: nothing is evaluated")
        flops_per_row = training_flops(
            task.backbone, row_sizes(preprocessor), task.objectives
        )
        callbacks = keras.callbacks.CallbackList(callbacks, model=task)
        task.stop_training = False

        # 4. Updates in loops, with evaluations and checkpoints between them.
        with (
            StopRequest(
                engine.stop if engine.can_stop_alone else None
            ) as request,
            Progress(
                "pre-training",
                args.num_steps,
                step,
                args.batch_size,
                is_shown=engine.is_chief,
            ) as progress,
        ):
            callbacks.on_train_begin()
            while step < args.num_steps and not engine.any_worker(
                request.signal is not None or task.stop_training
            ):
                start = time.perf_counter()
                num_steps, metrics = engine.train(next_stop(args, step) - step)
                seconds = time.perf_counter() - start
                step += num_steps
                if num_steps:
                    rate = num_steps * args.batch_size / seconds
                    history.add(step, {**metrics, "examples_per_second": rate})
                    progress.advance(
                        {
                            "tokens/s": rate * preprocessor.sequence_length,
                            "GFLOP/s": rate * flops_per_row / 1e9,
                            **metrics,
                        },
                        steps=num_steps,
                    )
                    callbacks.on_train_batch_end(step - 1, metrics)
                is_last = step == args.num_steps
                is_due = is_last or step % args.evaluation_interval == 0
                if can_evaluate and is_due and not engine.is_stopping:
                    best = history.best()
                    scores = engine.evaluate()
                    history.add(step, scores)
                    if engine.is_chief:
                        history.draw()
                    if scores["val_loss"] < best:
                        engine.checkpoints.save_best(step)
                    epoch = -(-step // args.evaluation_interval) - 1
                    callbacks.on_epoch_end(epoch, {**metrics, **scores})
                if is_last or step % args.checkpoint_interval == 0:
                    save(engine, history, step)
                if step == args.stop_at_step:
                    break
            if step < args.num_steps:
                save(engine, history, step)
            callbacks.on_train_end()
    except WORKER_LOST as error:
        if args.strategy != "multiworker":
            raise
        lost = WorkerLost(
            "Another worker was lost. Start it again: all workers resume from "
            f"the last checkpoint in {args.output}"
        )
        lost.step = first_step
        raise lost from error

    # 5. The preset, if the training is done.
    if engine.is_chief:
        history.draw()
    if step < args.num_steps and not task.stop_training:
        message = (
            f"saved at step {step:,} of {args.num_steps:,}; the same command "
            "resumes from there"
        )
        if request.signal is None and step == args.stop_at_step:
            say(message)
            return False
        # Where it is `None`, another worker received it.
        raise_stopped(request.signal or signal.SIGTERM, message)
    if engine.is_chief:
        save_preset(args, task, history)
        say(f"done: the model is in {os.path.join(args.output, 'preset')}")
    return True


def next_stop(args, step):
    """The step at which the loop after `step` ends."""
    intervals = (
        args.steps_per_loop,
        args.evaluation_interval,
        args.checkpoint_interval,
    )
    stops = [(step // interval + 1) * interval for interval in intervals]
    stops.append(args.num_steps)
    if args.stop_at_step is not None and step < args.stop_at_step:
        stops.append(args.stop_at_step)
    return min(stops)


def save(engine, history, step):
    """Saves the history and the state of a step."""
    if engine.is_chief:
        # The history first: rows beyond the checkpoint are dropped on a resume.
        history.write()
    engine.checkpoints.save(step)


def check_disk(args, checkpoint_size):
    """Raises OSError if the checkpoints do not fit on the disk."""
    # The best one, and the one that is written before an old one is removed.
    num_checkpoints = args.keep + 2
    needed = num_checkpoints * checkpoint_size
    free = shutil.disk_usage(args.output).free
    if free < needed:
        raise OSError(
            f"There is too little room for {num_checkpoints} checkpoints of "
            f"{checkpoint_size / 1e6:,.0f} MB in {args.output}: "
            f"{free / 1e6:,.0f} MB are free, {needed / 1e6:,.0f} MB are "
            "needed. Make room, choose another output, or keep fewer (--keep)"
        )


def save_preset(args, task, history):
    """Writes the model and its card to `preset`, atomically."""
    from unilmv2_tf.filesystem import replacing
    from unilmv2_tf.training.finetune_report import write_card

    evaluated = [row for row in history.rows if "val_loss" in row]
    scores = evaluated[-1] if evaluated else {}
    scores = {k: x for k, x in scores.items() if k.startswith("val_")}
    data = os.path.basename(os.path.normpath(args.data))
    with replacing(os.path.join(args.output, "preset")) as temporary:
        task.save_to_preset(temporary)
        write_card(temporary, args, f"The shards `{data}`.", scores)


def pretrain_command(args: PretrainArgs):
    """Pre-trains; a worker that lost another one restarts itself.

    The lost worker is restarted by whoever started it. Then all workers resume
    from the last checkpoint.
    """
    try:
        pretrain(args)
    except WorkerLost as error:
        # The step of the last restart and the number of restarts there.
        last = os.environ.get("UNILMV2_RESTARTS", "-1:0")
        step, _, count = last.partition(":")
        count = int(count) + 1 if int(step) == error.step else 1
        if count > MAX_RESTARTS:
            raise
        print(
            "pre-training: another worker was lost; restarting from the last "
            "checkpoint, and waiting for it",
            file=sys.stderr,
            flush=True,
        )
        os.environ["UNILMV2_RESTARTS"] = f"{error.step}:{count}"
        os.execv(sys.executable, sys.orig_argv)
