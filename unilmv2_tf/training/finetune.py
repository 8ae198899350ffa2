import signal

from unilmv2_tf.training.arguments import AnswerArgs
from unilmv2_tf.training.arguments import ClassifyArgs
from unilmv2_tf.training.arguments import Seq2SeqArgs


def finetune_classify(settings: ClassifyArgs):
    """Fine-tunes a model to classify texts or pairs of texts.

    The output folder holds, for each seed, `history.csv`, `curves.png`, the
    best weights and their predictions; over all seeds `results.json`,
    `results.md`, `scores.png` and `confusion.png`; and in the end `preset`, the
    best model, which `UniLMv2TextClassifier.from_preset` loads. The same call
    goes on where an earlier one was ended.

    Args:
        settings: a `ClassifyArgs`.

    Returns:
        A dict, what is in `results.json`; `None` if SIGTERM ended it before.

    Raises:
        ValueError: if settings, examples and output folder do not go together.
        OSError: if the output folder cannot be written.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.

    Example:

    ```python
    finetune_classify(ClassifyArgs(
        data="tfds:glue/sst2", preset="pretrained", output="sst2"))
    ```

    Reference:
        Bao et al., 2020, section 3.4 and table 9.
    """
    from unilmv2_tf.training.finetuning.classification import Classification

    return _run(settings, Classification)


def finetune_answer(settings: AnswerArgs):
    """Fine-tunes a model to answer questions with spans of passages.

    See `finetune_classify` for what the output folder holds; predictions are in
    the format of SQuAD, and `UniLMv2QuestionAnswerer.from_preset` loads the
    model.

    Args:
        settings: an `AnswerArgs`.

    Returns:
        A dict, what is in `results.json`; `None` if SIGTERM ended it before.

    Raises:
        ValueError: if settings, examples and output folder do not go together.
        OSError: if the output folder cannot be written.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.

    Example:

    ```python
    finetune_answer(AnswerArgs(
        data="tfds:squad/v1.1", preset="pretrained", output="squad"))
    ```

    Reference:
        Bao et al., 2020, section 3.4.
    """
    from unilmv2_tf.training.finetuning.answering import Answering

    return _run(settings, Answering)


def finetune_seq2seq(settings: Seq2SeqArgs):
    """Fine-tunes a model to generate texts from texts.

    See `finetune_classify` for what the output folder holds; predictions are
    JSON lines, and `UniLMv2Seq2SeqLM.from_preset` loads the model, which
    generates with the beam search of the settings.

    Args:
        settings: a `Seq2SeqArgs`.

    Returns:
        A dict, what is in `results.json`; `None` if SIGTERM ended it before.

    Raises:
        ValueError: if settings, examples and output folder do not go together.
        OSError: if the output folder cannot be written.
        KeyboardInterrupt: on Ctrl-C, after the state was saved.

    Example:

    ```python
    finetune_seq2seq(Seq2SeqArgs(
        data="docstrings:summaries", preset="pretrained", output="summaries",
        source_length=224, target_length=32))
    ```

    Reference:
        Bao et al., 2020, section 3.4 and table 10.
    """
    from unilmv2_tf.training.finetuning.sequence_to_sequence import (
        SequenceToSequence,
    )

    return _run(settings, SequenceToSequence)


def _run(settings, make_problem):
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.training.finetuning.run import FinetuningRun
    from unilmv2_tf.training.fitting import Stopped

    try:
        return FinetuningRun(settings, make_problem).run()
    except Stopped as stopped:
        if stopped.signal == signal.SIGINT:
            raise
        print(f"fine-tuning: {stopped}", flush=True)
        return None
