"""`unilmv2 finetune`: one loop over seeds for all tasks."""

import json
import os
import shutil

from unilmv2_tf.training.arguments import AnswerArgs
from unilmv2_tf.training.arguments import ClassifyArgs
from unilmv2_tf.training.arguments import Seq2SeqArgs


def finetune_classify(args: ClassifyArgs) -> dict | None:
    """Fine-tunes a model to classify texts or pairs of texts.

    The output folder holds, for each seed, `history.csv`, `curves.png`, the
    best weights and their predictions; for all seeds `results.json`,
    `results.md` and `scores.png`; and in the end `preset`, the best model,
    which `UniLMv2TextClassifier.from_preset` loads. The same call resumes an
    interrupted run.

    Args:
        args: `ClassifyArgs`.

    Returns:
        A dict, the content of `results.json`; `None` at `stop_at_step`.

    Raises:
        ValueError: if arguments, examples and output folder do not match.
        OSError: if the output folder cannot be written.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.
        SystemExit: on SIGTERM, after the state was saved, with status 143.

    Example:

    ```python
    finetune_classify(ClassifyArgs(
        data="tfds:glue/sst2", preset="pretrained", output="sst2"))
    ```

    Reference:
        Bao et al., 2020, section 3.4 and table 9.
    """
    # TensorFlow takes seconds to import; help should not.
    from unilmv2_tf.training.classify_adapter import ClassifyAdapter

    return _finetune(args, ClassifyAdapter)


def finetune_answer(args: AnswerArgs) -> dict | None:
    """Fine-tunes a model to answer questions with spans of passages.

    Predictions are in the format of SQuAD, and
    `UniLMv2QuestionAnswerer.from_preset` loads the model. Output folder, return
    value and errors are those of `finetune_classify`.

    Args:
        args: `AnswerArgs`.

    Example:

    ```python
    finetune_answer(AnswerArgs(
        data="tfds:squad/v1.1", preset="pretrained", output="squad"))
    ```

    Reference:
        Bao et al., 2020, section 3.4.
    """
    from unilmv2_tf.training.answer_adapter import AnswerAdapter

    return _finetune(args, AnswerAdapter)


def finetune_seq2seq(args: Seq2SeqArgs) -> dict | None:
    """Fine-tunes a model to generate texts from texts.

    Predictions are JSON lines, and `UniLMv2Seq2SeqLM.from_preset` loads the
    model, which generates with the sampler of the arguments. Output folder,
    return value and errors are those of `finetune_classify`.

    Args:
        args: `Seq2SeqArgs`.

    Example:

    ```python
    finetune_seq2seq(Seq2SeqArgs(
        data="docstrings:summaries", preset="pretrained", output="summaries",
        source_length=224, target_length=32))
    ```

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """
    from unilmv2_tf.training.seq2seq_adapter import Seq2SeqAdapter

    return _finetune(args, Seq2SeqAdapter)


def _finetune(args, adapter_cls):
    import absl.logging

    from unilmv2_tf.evaluation.examples import input_texts
    from unilmv2_tf.filesystem import replacing
    from unilmv2_tf.preprocessing.tokenizer import note_special_tokens
    from unilmv2_tf.run_settings import check_same_settings
    from unilmv2_tf.run_settings import recorded_settings
    from unilmv2_tf.training.finetune_report import write_card
    from unilmv2_tf.training.finetune_report import write_report
    from unilmv2_tf.training.fitting import make_callbacks
    from unilmv2_tf.training.schedules import check_schedule
    from unilmv2_tf.training.stopping import Stopped
    from unilmv2_tf.training.strategies import check_replicas
    from unilmv2_tf.training.strategies import make_strategy

    absl.logging.set_verbosity(absl.logging.ERROR)
    # 1. Mistakes in the arguments, before a device is used.
    check_schedule(args.schedule)
    make_callbacks(args.callbacks)
    os.makedirs(args.output, exist_ok=True)
    # 2. Devices, before anything else uses TensorFlow.
    strategy = make_strategy(args.strategy, args.devices, args.tpu)
    check_replicas(args, strategy.num_replicas_in_sync)
    # 3. Examples: mistakes in them, before a model is built.
    adapter = adapter_cls(args)
    check_same_settings(
        args.output, {**recorded_settings(args), **adapter.facts()}
    )
    for line in adapter.describe():
        print(f"fine-tuning: {line}", flush=True)
    note_special_tokens(
        adapter.tokenizer, input_texts(adapter.train), "training examples"
    )
    # 4. One run for each seed; completed ones are not repeated.
    try:
        results = [
            _run_seed(args, adapter, strategy, seed)
            for seed in range(args.seed, args.seed + args.seeds)
        ]
    except Stopped as stopped:
        print(f"fine-tuning: {stopped}", flush=True)
        return None
    # 5. The best model, its final predictions, and the report.
    best = max(results, key=lambda result: result["best"]["score"])
    target = os.path.join(args.output, "preset")
    with replacing(target) as temporary:
        source = os.path.join(_seed_folder(args, best["seed"]), "preset")
        shutil.copytree(source, temporary)
    final_scores = adapter.finish(target, args.output)
    summary = write_report(adapter, results, final_scores)
    data, scores = os.path.basename(args.data), best["best"]["scores"]
    write_card(target, args, data, scores)
    print(f"fine-tuning: done: the model is in {target}", flush=True)
    return summary


def _seed_folder(args, seed):
    return os.path.join(args.output, f"seed-{seed}")


def _run_seed(args, adapter, strategy, seed):
    """Trains with one seed, or reads what an earlier call has written."""
    import keras

    from unilmv2_tf.filesystem import write_text

    folder = _seed_folder(args, seed)
    path = os.path.join(folder, "result.json")
    if not os.path.exists(path):
        result = _train(args, adapter, strategy, seed, folder)
        write_text(path, json.dumps(result, indent=2) + "\n")
        # The best weights are enough from here on.
        shutil.rmtree(os.path.join(folder, "checkpoints"))
        keras.backend.clear_session()
    with open(path, encoding="utf-8") as file:
        result = json.load(file)
    best = result["best"]
    print(
        f"fine-tuning: seed {seed}: {adapter.metric} {best['score']:.4f} after "
        f"{best['epoch']:g} epochs",
        flush=True,
    )
    return result


def _train(args, adapter, strategy, seed, folder):
    """Trains with one seed; returns its best scores and their curve."""
    import keras

    from unilmv2_tf.evaluation.predictions import preprocessor_set_to
    from unilmv2_tf.filesystem import replacing
    from unilmv2_tf.training.fitting import fit_resumably
    from unilmv2_tf.training.optimizer import FitAdamW
    from unilmv2_tf.training.optimizer import layer_rate_scales
    from unilmv2_tf.training.optimizer import make_optimizer

    num_updates = max(args.epochs * len(adapter.lengths) // args.batch_size, 1)
    # Keras counts each micro-batch as a step.
    parts = args.accumulation_steps
    num_steps = num_updates * parts
    steps_per_epoch = num_steps / args.epochs
    keras.utils.set_random_seed(seed)
    with strategy.scope():
        model = adapter.make_model()
        if args.lora_rank:
            model.backbone.enable_lora(args.lora_rank)
        optimizer = make_optimizer(
            args,
            num_updates,
            round(args.warmup_ratio * num_updates),
            FitAdamW,
            parts,
            rate_scales=(
                layer_rate_scales(model, args.layer_decay)
                if args.layer_decay
                else None
            ),
        )
        adapter.compile(model, optimizer)
        # The optimizer's variables belong to the replicas, too.
        optimizer.build(model.trainable_variables)
    preprocessor = model.preprocessor
    key = f"val_{adapter.metric}"

    def evaluate(step, rows):
        with preprocessor_set_to(model, preprocessor):
            scores = {
                f"val_{name}": score
                for name, score in adapter.evaluate(model).items()
            }
            earlier = [row for row in rows if row["step"] < step and key in row]
            best = max(earlier, key=lambda row: row[key], default=None)
            if best is None or scores[key] > best[key]:
                adapter.predictions.write(folder)
                with replacing(os.path.join(folder, "preset")) as temporary:
                    model.save_to_preset(temporary)
                return scores, False
        since = sum(row["step"] > best["step"] for row in earlier) + 1
        return scores, args.patience is not None and since >= args.patience

    # Texts become rows in the dataset, which also crops the padding.
    with preprocessor_set_to(model, None):
        history = fit_resumably(
            model,
            lambda step: adapter.training_dataset(num_steps, seed, step),
            num_steps,
            folder,
            label=f"fine-tuning, seed {seed}",
            examples_per_step=args.batch_size // parts,
            steps_per_save=args.checkpoint_interval * parts,
            evaluate=evaluate,
            steps_per_evaluation=max(
                round(steps_per_epoch / args.evaluations_per_epoch), 1
            ),
            stop_at_step=args.stop_at_step and args.stop_at_step * parts,
            callbacks=args.callbacks,
        )
    evaluated = [row for row in history if key in row]
    best = max(evaluated, key=lambda row: row[key])
    return {
        "seed": seed,
        "best": {
            "score": best[key],
            "step": best["step"] // parts,
            "epoch": round(best["step"] / steps_per_epoch, 3),
            "scores": {
                name.removeprefix("val_"): value
                for name, value in best.items()
                if name.startswith("val_")
            },
        },
        "curve": [
            (round(row["step"] / steps_per_epoch, 3), row[key])
            for row in evaluated
        ],
    }
