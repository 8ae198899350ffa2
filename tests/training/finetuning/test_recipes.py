"""The recipes of fine-tuning: the paper's figures, and two steps each."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from unilmv2_tf.cli import _parser
from unilmv2_tf.cli import main
from unilmv2_tf.datasets.glue import find_glue_task

FOLDER = pathlib.Path(__file__).resolve().parents[3] / "unilmv2_tf" / "recipes"
RECIPES = sorted(
    (kind, path.stem)
    for kind in ("classify", "answer", "seq2seq")
    for path in (FOLDER / kind).glob("*.yaml")
)
UNDERSTANDING = [recipe for recipe in RECIPES if recipe[0] != "seq2seq"]
EMBEDDED = {"docstring_arguments", "docstring_summaries"}
# Bao et al., 2020, table 9, and the scores on the development sets.
RATES = {5e-6, 1e-5, 1.5e-5, 2e-5, 3e-5}
SCORES = {
    "mnli": "88.5",
    "sst2": "95.1",
    "mrpc": "91.8",
    "rte": "81.3",
    "qnli": "93.5",
    "qqp": "91.7",
    "stsb": "91.0",
    "cola": "65.2",
    "squad1": "93.1 87.1",
    "squad2": "86.1 83.3",
}
# Table 10, and the scores.
SEQ2SEQ = {
    "cnn_dailymail": {
        "learning_rate": 7e-5, "batch_size": 64, "epochs": 14,
        "warmup_ratio": 0.02, "source_length": 608, "target_length": 160,
        "num_beams": 5, "length_penalty": 0.7,
    },
    "xsum": {
        "learning_rate": 7e-5, "batch_size": 64, "epochs": 14,
        "warmup_ratio": 0.02, "source_length": 720, "target_length": 48,
        "num_beams": 5, "length_penalty": 0.6,
    },
    "squad_qg": {
        "learning_rate": 2e-5, "batch_size": 48, "epochs": 16,
        "warmup_ratio": 0.1, "source_length": 464, "target_length": 48,
        "num_beams": 8, "length_penalty": 1.3,
    },
}  # fmt: skip
SEQ2SEQ_SCORES = {
    "cnn_dailymail": "43.16/20.42/40.14",
    "xsum": "44.00/21.11/36.08",
    "squad_qg": "24.43/26.34/51.97",
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the fox who jumped over lazy dogs why not".split()
TINY = {
    "num_layers": 1,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": 768,
}


def text_of(kind, name):
    return (FOLDER / kind / f"{name}.yaml").read_text(encoding="utf-8")


def commands_of(kind, name):
    head = text_of(kind, name).split("\n\n")[0].replace("\\\n#", " ")
    lines = head.split("# Commands:\n")[1].splitlines()
    return [shlex.split(line.lstrip("# ")) for line in lines]


def test_all_tasks_have_one():
    names = {*SCORES, *SEQ2SEQ, *EMBEDDED, "wnli"}
    assert {name for _, name in RECIPES} == names


@pytest.mark.parametrize("name", SEQ2SEQ)
def test_figures_of_generation_are_the_papers(name):
    prepare, convert, finetune, evaluate = commands_of("seq2seq", name)
    assert finetune[:3] == ["unilmv2", "finetune", "seq2seq"]
    parser, _ = _parser("finetune seq2seq")
    values = parser.parse_args(finetune[3:]).as_dict()
    assert values["data"] == f"tfds:{prepare[-1]}"
    assert values["preset"] == convert[-1]
    expected = {"label_smoothing": 0.1, "weight_decay": 0.01, **SEQ2SEQ[name]}
    assert {key: values[key] for key in expected} == expected
    # Positions for all of the row.
    needed = values["source_length"] + values["target_length"]
    given = 512
    if "--positions" in convert:
        given = int(convert[convert.index("--positions") + 1])
    assert given >= needed
    assert SEQ2SEQ_SCORES[name] in text_of("seq2seq", name)
    scored = _parser("evaluate")[0].parse_args(evaluate[2:]).as_dict()
    assert scored["data"].startswith(values["data"])


@pytest.mark.parametrize("kind, name", UNDERSTANDING)
def test_figures_are_the_papers(kind, name):
    prepare, convert, finetune = commands_of(kind, name)
    assert finetune[:3] == ["unilmv2", "finetune", kind]
    parser, _ = _parser(f"finetune {kind}")
    values = parser.parse_args(finetune[3:]).as_dict()
    assert values["data"] == f"tfds:{prepare[-1]}"
    assert values["preset"] == convert[-1]
    for score in SCORES.get(name, "").split():
        assert score in text_of(kind, name)
    assert values["weight_decay"] == 0.01
    if kind == "answer":
        figures = ("batch_size", "learning_rate", "warmup_ratio", "epochs")
        assert [values[key] for key in figures] == [32, 2e-5, 0.1, 4]
    else:
        assert values["batch_size"] in (16, 32)
        assert values["learning_rate"] in RATES
        assert values["warmup_ratio"] in (0.1, 0.2)
        assert values["epochs"] in (10, 15)
        assert values["metric"] == find_glue_task(values["data"]).primary_metric


def example_of(features, number, generator):
    """A row with the features of the real dataset."""
    row = {}
    for key, feature in features.items():
        if isinstance(feature, tfds.features.ClassLabel):
            row[key] = np.int64(number % feature.num_classes)
        elif isinstance(feature, tfds.features.Text):
            row[key] = " ".join(generator.choice(WORDS, 6))
        elif key == "answers":
            # The third word of the context.
            words = row["context"].split()
            start = len(" ".join(words[:2])) + 1
            is_answered = number % 3 or "is_impossible" not in features
            row[key] = {
                "text": [words[2]] if is_answered else [],
                "answer_start": [start] if is_answered else [],
            }
        elif key == "plausible_answers":
            row[key] = {"text": [], "answer_start": []}
        elif key == "is_impossible":
            row[key] = number % 3 == 0
        elif key == "label":
            row[key] = np.float32(number % 6)
        else:
            row[key] = np.int32(number)
    return {**row, "id": f"q{number}"} if "id" in features else row


def as_dataset(builder, split=None, **kwargs):
    del kwargs
    seed = len(str(split))
    features = builder.info.features
    generator = np.random.default_rng(seed)
    # Contexts before the answers that stand in them.
    features = dict(sorted(features.items(), key=lambda x: x[0] == "answers"))

    def rows():
        for number in range(32):
            yield example_of(features, number, generator)

    return tf.data.Dataset.from_generator(
        rows, output_signature=builder.info.features.get_tensor_spec()
    )


# One of each kind: pairs with a second validation set, questions that may have
# no answer, the embedded corpus.
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, name",
    [
        ("classify", "mnli"),
        ("answer", "squad2"),
        ("seq2seq", "docstring_arguments"),
    ],
)
def test_two_steps(kind, name, tmp_path, capsys, small_docstrings):
    tokens = [*SPECIAL, *WORDS, ".", ","]
    (tmp_path / "vocabulary.txt").write_text("\n".join(tokens))
    arguments = {
        "preset": "unilmv2_tiny",
        "vocabulary": tmp_path / "vocabulary.txt",
        "output": tmp_path / "run",
        "backbone": json.dumps(TINY),
        "epochs": 1,
        "batch_size": 16,
        "num_examples": 32,
        "seeds": 1,
    }
    if kind == "seq2seq":
        arguments |= {"evaluation_examples": 2, "num_beams": 2}
    flags = [f"--{key}={value}" for key, value in arguments.items()]
    with tfds.testing.mock_data(as_dataset_fn=as_dataset):
        status = main(["finetune", kind, "--config", name, *flags])
    assert status == 0, capsys.readouterr().err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["seeds"][0]["best"]["step"] == 2
    if name == "mnli":
        assert "validation_mismatched" in "".join(results["final"])
    assert re.search(r"\| 0 \| 1 \|", (tmp_path / "run/results.md").read_text())


def test_absent_data(tmp_path, monkeypatch, capsys):
    """One line, and how to get them."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "vocabulary.txt").write_text("\n".join(SPECIAL))
    status = main(
        [
            "finetune",
            "classify",
            "--data=tfds:glue/sst2",
            "--preset=unilmv2_tiny",
            f"--vocabulary={tmp_path / 'vocabulary.txt'}",
            f"--output={tmp_path / 'run'}",
        ]
    )
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "tfds build glue/sst2" in error
