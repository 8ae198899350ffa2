import json
import os

from unilmv2_tf.atomic import write_text


def evaluate(
    preset: str,
    data: str,
    output: str | None = None,
    batch_size: int = 64,
    max_answer_length: int = 30,
):
    """Scores a fine-tuned model on labelled data, and prints the scores.

    What the model does is read from the preset: classifiers are scored by the
    metrics of the GLUE task or by accuracy and macro F1, regressors by their
    correlations, models that answer questions by SQuAD's exact match and F1.

    Args:
        preset: The folder of a fine-tuned model.
        data: Labelled examples, as for `unilmv2 finetune`; all of a file, the
            validation split of the others unless they name another.
        output: A folder for `scores.json` and the predictions. Nothing is
            written if not given.
        batch_size: Rows that are computed at once.
        max_answer_length: The longest answer, in tokens.

    Returns:
        A dict from the name of a metric to its value.

    Raises:
        ValueError: if the preset holds no such model, or the data have labels
            that it does not know.
        FileNotFoundError: if there is no such file or preset.

    Example:

    ```python
    evaluate("run/preset", "held_out.tsv")
    ```

    Reference:
        Bao et al., 2020, section 4.
    """
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.models import UniLMv2QuestionAnswerer
    from unilmv2_tf.models import UniLMv2TextClassifier
    from unilmv2_tf.trainers.finetuning import labelled
    from unilmv2_tf.trainers.finetuning import questions
    from unilmv2_tf.trainers.finetuning.examples import evaluation_split
    from unilmv2_tf.trainers.finetuning.model import load_task
    from unilmv2_tf.trainers.finetuning.predictions import predict

    model = load_task(preset)
    if isinstance(model, UniLMv2TextClassifier):
        examples = labelled.read(data, evaluation_split(data))
        names = model.label_names
        if names is not None:
            labelled.check_known(examples, names, "data")
        predictions = predict(model, examples, batch_size)
        scores = predictions.scores(labelled.metrics_of(data, names))
    elif isinstance(model, UniLMv2QuestionAnswerer):
        examples = questions.read(data, evaluation_split(data))
        predictions = questions.predict(
            model, examples, batch_size, max_answer_length
        )
        scores = predictions.scores()
    else:
        raise ValueError(
            "`preset` must hold a classifier or a question answerer, as "
            "`unilmv2 finetune` makes them. Received: preset="
            f"{preset}, a {type(model).__name__}"
        )
    for name, value in scores.items():
        print(f"{name}: {value:.4f}")
    if output is not None:
        predictions.write(output)
        summary = {"preset": preset, "data": data, "scores": scores}
        write_text(
            os.path.join(output, "scores.json"),
            json.dumps(summary, indent=2) + "\n",
        )
    return scores
