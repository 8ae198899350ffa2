"""The command `unilmv2 predict`."""

import dataclasses
from typing import Literal


def predict(
    preset: str,
    input: str = "-",
    output: str = "-",
    overwrite: bool = False,
    n_best: int = 1,
    max_answer_length: int = 30,
    batch_size: int = 32,
    precision: Literal["float32", "bfloat16", "mixed_bfloat16", "float16"]
    | None = None,
    skip_misfits: bool = False,
    runner: str | None = None,
    runner_options: list[str] = [],  # noqa: B006
):
    """Classifies the texts, or answers the questions, of a file or of stdin.

    Each line of the output is a JSON object: the item of the input, without the
    passage of a question, and what `classify(..., return_probabilities=True)`
    or `answer()` returns for it; a regression's under `value`, further answers
    under `answers`. A key of the input that is in the way is renamed
    `input_KEY`. The same command resumes an interrupted run; until it is
    complete the results are in OUTPUT.part.

    Args:
        preset: Preset folder of a UniLMv2TextClassifier or a
            UniLMv2QuestionAnswerer.
        input: Texts for a classifier: .txt (one a line), .tsv (a text, or two)
            or .jsonl (text, or text_a and text_b). For an answerer: SQuAD's
            .json, with or without answers, .tsv (question, passage) or .jsonl
            (question, context). Or - for stdin, with lines as in .tsv, where
            results appear as soon as the input pauses.
        output: Results, .jsonl; or - for stdout.
        overwrite: Whether to replace an existing output, finished or not.
        n_best: Number of answers to each question, best first.
        max_answer_length: Maximum length of an answer in tokens.
        batch_size: Number of rows computed at once.
        precision: Dtype policy of the computation.
        skip_misfits: Whether to skip invalid lines, with a warning. By default
            nothing is computed if there are any.
        runner: An Apache Beam runner that computes the results, such as
            DirectRunner or DataflowRunner. All its workers must see the preset
            and the folder of the output under the same paths.
        runner_options: Beam pipeline options, such as
            ["--direct_num_workers=4"].
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.inference.file_jobs import find_kind
    from unilmv2_tf.inference.file_jobs import run_job

    kind = find_kind(preset, "predict")
    for name, value, default in (
        ("n_best", n_best, 1),
        ("max_answer_length", max_answer_length, 30),
    ):
        if value < 1:
            raise ValueError(
                f"`{name}` must be at least 1. Received: {name}={value}"
            )
        if kind == "classifier" and value != default:
            raise ValueError(
                f"`{name}` is an option of question answerers. Received: "
                f"{name}={value}, and a classifier. Remove it"
            )
    job = PredictJob(
        preset, batch_size, precision, n_best, max_answer_length, kind
    )
    run_job(
        *(job, input, output, overwrite, skip_misfits, runner, runner_options)
    )


def _json_line(item, result):
    """The item, without a passage, and its result."""
    from unilmv2_tf.inference.item_files import json_line

    line = {
        f"input_{key}" if key in result else key: value
        for key, value in item.items()
        if key != "context"
    }
    return json_line({**line, **result})


@dataclasses.dataclass
class PredictJob:
    """Classifies texts or pairs, or answers questions, see `file_jobs`."""

    preset: str
    batch_size: int
    precision: str | None
    n_best: int
    max_answer_length: int
    kind: str

    may_be_empty = False
    stream_format = ".tsv"
    extensions = (".jsonl",)
    line = staticmethod(_json_line)

    def __post_init__(self):
        self.columns = (("text",), ("text_a", "text_b"))
        self.label, self.unit = "predicting", "texts"
        self.method = self._classify
        if self.kind != "classifier":
            self.columns = (("question", "context"),)
            self.label, self.unit = "answering", "questions"
            self.method = self._answer
        self.num_cut = 0

    def load(self, output, items=()):
        from unilmv2_tf.inference.file_jobs import load_model

        self.model = load_model(self.preset, "predict", self.precision)
        names = getattr(self.model, "label_names", None) or ()
        if items and all(item.get("text_b") in names for item in items):
            raise ValueError(
                "The second texts of `input` must not be labels. Received: "
                f"{items[0]['text_b']!r} and others of the model's labels "
                f"{', '.join(names)}. Remove them, for example with: cut -f1; "
                "or score them with unilmv2 evaluate"
            )

    def process(self, items, index):
        from unilmv2_tf.inference.item_files import item_text

        keys = next(keys for keys in self.columns if keys[0] in items[0])
        return self.method(
            *([item_text(item, key) for item in items] for key in keys)
        )

    def _classify(self, *columns):
        from unilmv2_tf.inference.file_jobs import count_longer

        preprocessor = self.model.preprocessor
        longest = preprocessor.sequence_length - 1 - len(columns)
        self.num_cut += count_longer(columns, preprocessor.tokenizer, longest)
        results = self.model.classify(
            columns if len(columns) > 1 else columns[0],
            batch_size=self.batch_size,
            return_probabilities=not self.model.is_regression,
        )
        if self.model.is_regression:
            return [{"value": value} for value in results]
        return results

    def _answer(self, questions, contexts):
        answers = self.model.answer(
            questions,
            contexts,
            n_best=self.n_best,
            max_answer_length=self.max_answer_length,
            batch_size=self.batch_size,
        )
        if self.n_best == 1:
            return answers
        return [{**found[0], "answers": found} for found in answers]
