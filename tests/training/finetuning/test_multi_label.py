"""Fine-tuning a classifier on texts with any number of labels."""

import itertools
import json

import numpy as np
import pytest

from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.training.finetune import finetune_classify
from unilmv2_tf.training.history import read_history

# The labels of a text are the tones it has; the first one has none.
TONES = {"bad": "awful", "fair": "bearable", "good": "lovely"}


def write(path, repeats):
    lines = [
        {
            # All of one length, which would tell the number of labels.
            "text": " ".join(
                word if name in names else f"w{repeat % 8}"
                for name, word in TONES.items()
            ),
            "labels": names[::-1],
        }
        for repeat in range(repeats)
        for size in range(4)
        for names in map(list, itertools.combinations(TONES, size))
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


@pytest.fixture
def data(tmp_path):
    return write(tmp_path / "many.jsonl", repeats=1)


@pytest.mark.slow
def test_from_lists_of_labels_to_scores(settings, data, tmp_path, capsys):
    train = write(tmp_path / "train.jsonl", repeats=24)
    summary = finetune_classify(
        settings(data=train, validation=data, epochs=12)
    )
    assert "3 classes, any number of them" in capsys.readouterr().out
    assert summary["metric"] == "micro_f1"
    history = read_history(tmp_path / "run" / "seed-0" / "history.csv")
    # Less than without any knowledge of the text.
    assert history[-1]["loss"] < 0.6 < np.log(2)
    preset = str(tmp_path / "run" / "preset")
    model = UniLMv2TextClassifier.from_preset(preset)
    assert model.multi_label and model.label_names == list(TONES)
    rows = [json.loads(line) for line in open(data)]
    found = model.classify([row["text"] for row in rows])
    pairs = [(set(x), set(row["labels"])) for x, row in zip(found, rows)]
    hits = sum(len(x & y) for x, y in pairs)
    scores = evaluate(preset, data)
    assert scores["exact_match"] == np.mean([x == y for x, y in pairs])
    assert scores["micro_f1"] == pytest.approx(
        2 * hits / sum(len(x) + len(y) for x, y in pairs)
    )


def test_options_of_one_class_are_refused(settings, data):
    with pytest.raises(ValueError, match="`class_weights` must be left out"):
        finetune_classify(
            settings(data=data, validation=data, class_weights="balanced")
        )
    with pytest.raises(ValueError, match="metrics of lists of classes"):
        finetune_classify(settings(data=data, validation=data, metric="f1"))


def test_both_files_have_lists(settings, data, folder):
    with pytest.raises(ValueError, match=r"Received: str in .*, list in"):
        finetune_classify(
            settings(data=data, validation=str(folder / "validation.tsv"))
        )


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"text": "w1", "label": "bad"}', "have 'labels', or none"),
        ('{"text": "w1", "labels": "bad"}', "a list of class names"),
        ('{"text": "w1", "labels": ["worse"]}', "model knows: bad, fair, good"),
    ],
)
def test_other_lines(settings, data, tmp_path, line, message):
    other = tmp_path / "other.jsonl"
    other.write_text(open(data).read() + "\n" + line)
    with pytest.raises(ValueError, match=message):
        finetune_classify(settings(data=data, validation=str(other)))


def test_a_single_name(settings, tmp_path):
    path = tmp_path / "one.jsonl"
    rows = ({"text": f"w{i}", "labels": ["bad"] * (i % 2)} for i in range(8))
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="Write two classes instead"):
        finetune_classify(settings(data=str(path), validation=str(path)))
