"""Fine-tuning a classifier on texts with any number of labels."""

import itertools
import json

import pytest

from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.evaluation.evaluate import evaluate
from unilmv2_tf.training.finetune import finetune_classify

# The labels of a text are the tones it has; the first one has none.
TONES = {"bad": "awful", "fair": "bearable", "good": "lovely"}


@pytest.fixture
def data(tmp_path):
    lines = []
    for index, chosen in enumerate(itertools.product([0, 1], repeat=3)):
        names = [name for name, has in zip(TONES, chosen) if has]
        words = " ".join(TONES[name] for name in names)
        lines += [
            json.dumps({"text": f"w{index} {words}", "labels": names[::-1]})
        ] * 4
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(lines))
    return str(path)


@pytest.mark.slow
def test_from_lists_of_labels_to_scores(settings, data, tmp_path, capsys):
    summary = finetune_classify(settings(data=data, validation=data))
    assert "3 classes, any number of them" in capsys.readouterr().out
    assert summary["metric"] == "micro_f1"
    preset = str(tmp_path / "run" / "preset")
    model = UniLMv2TextClassifier.from_preset(preset)
    assert model.multi_label and model.label_names == list(TONES)
    assert model.classify(["lovely w1", "awful bearable", "w1"]) == [
        ["good"],
        ["bad", "fair"],
        [],
    ]
    (result,) = model.classify(["lovely w1"], return_probabilities=True)
    assert list(result["probabilities"]) == list(TONES)
    scores = evaluate(preset, data)
    assert scores == {"micro_f1": 1, "macro_f1": 1, "exact_match": 1}


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
