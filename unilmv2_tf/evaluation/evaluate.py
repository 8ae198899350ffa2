import json
import os

from unilmv2_tf.filesystem import write_text


def evaluate(
    preset: str,
    data: str,
    output: str | None = None,
    batch_size: int = 64,
    max_answer_length: int = 30,
    metrics: list[str] | None = None,
    num_examples: int | None = None,
    max_length: int | None = None,
    num_beams: int | None = None,
    length_penalty: float | None = None,
    min_length: int | None = None,
    no_repeat_ngram_size: int | None = None,
    baselines: str | None = None,
):
    """Scores a fine-tuned model on labelled data, and prints the scores.

    What the model does is read from the preset: classifiers are scored by the
    metrics of the GLUE task or by accuracy and macro F1, regressors by their
    correlations, models that answer questions by SQuAD's exact match and F1,
    and models that generate texts by ROUGE, BLEU and more, with a line on
    what each score compares.

    Args:
        preset: The folder of a fine-tuned model.
        data: Labelled examples, as for `unilmv2 finetune`; all of a file, the
            validation split of the others unless they name another.
        output: A folder for `scores.json` and the predictions. Nothing is
            written if not given.
        batch_size: Rows that are computed at once.
        max_answer_length: The longest answer, in tokens.
        metrics: Of generated texts, rouge1, rouge2, rougeL, rougeLsum, bleu4,
            meteor, meteor_exact_stem or exact_match, as in '[rougeL,meteor]'.
        num_examples: For how many pairs a text is generated, spread evenly
            over the data; all if not given.
        max_length: The most tokens of a generated text, its end included.
            This and the next four are those of the preset if not given.
        num_beams: Beams of the search.
        length_penalty: Above 0 longer texts score higher.
        min_length: The fewest tokens of a generated text.
        no_repeat_ngram_size: No n tokens occur twice in a generated text.
        baselines: Pairs of texts, as for `unilmv2 finetune seq2seq`, out of
            which trivial methods are made that are scored beside the model: the
            first words of the source, as many as targets have, and the target
            of the most similar source.

    Returns:
        A dict from the name of a metric to its value.

    Raises:
        ValueError: if the preset holds no such model, or the data have labels
            that it does not know, or a setting is for other models.
        FileNotFoundError: if there is no such file or preset.

    Example:

    ```python
    evaluate("run/preset", "held_out.tsv")
    ```

    Reference:
        Bao et al., 2020, section 4.
    """
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.evaluation.evaluating import evaluate_model
    from unilmv2_tf.training.finetuning.model import load_task

    evaluation = evaluate_model(
        load_task(preset),
        data,
        batch_size,
        max_answer_length,
        metrics,
        num_examples=num_examples,
        max_length=max_length,
        num_beams=num_beams,
        length_penalty=length_penalty,
        min_length=min_length,
        no_repeat_ngram_size=no_repeat_ngram_size,
        baselines=baselines,
    )
    num_left_out = evaluation.num_left_out
    if num_left_out:
        print(f"pairs without a target, left out: {num_left_out:,}")
    for name, value in evaluation.scores.items():
        note = evaluation.metric_notes.get(name)
        print(f"{name}: {value:.4f}" + (f"  ({note})" if note else ""))
    for method, scores in evaluation.baselines.items():
        shown = ", ".join(f"{name} {v:.4f}" for name, v in scores.items())
        print(f"{method}: {shown}")
    if output is not None:
        evaluation.predictions.write(output)
        summary = {
            "preset": preset,
            "data": data,
            "scores": evaluation.scores,
            "metric_notes": evaluation.metric_notes,
            "baselines": evaluation.baselines,
            "pairs_left_out": num_left_out,
        }
        write_text(
            os.path.join(output, "scores.json"),
            json.dumps(summary, indent=2) + "\n",
        )
    return evaluation.scores
