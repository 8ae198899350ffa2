"""Whose vocabulary, and whether it is uncased."""

import json

import pytest

from unilmv2_tf.checkpoints.readers import load_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write(path, *words):
    path.write_text("\n".join([*SPECIAL, *words]) + "\n")
    return path


def test_where_it_is_found(tmp_path):
    write(tmp_path / "vocab.txt", "one")
    write(tmp_path / "unilm2-base-uncased-vocab.txt", "one", "two")
    beside = tmp_path / "unilm2-base-uncased.bin"
    assert load_tokenizer(beside, 7).vocabulary_size() == 7
    assert load_tokenizer(tmp_path / "bert-uncased.bin", 6).lowercase
    other = write(tmp_path / "other.txt", "one", "two", "three")
    assert load_tokenizer(beside, 8, other).vocabulary_size() == 8


def test_case_by_settings_then_by_name_then_by_letters(tmp_path):
    write(tmp_path / "vocab.txt", "Word")
    path = tmp_path / "weights.bin"
    with pytest.warns(UserWarning, match="assumed to be cased"):
        assert not load_tokenizer(path, 6).lowercase
    assert load_tokenizer(path, 6, lowercase=True).lowercase
    assert load_tokenizer(tmp_path / "my-uncased.bin", 6).lowercase
    assert not load_tokenizer(tmp_path / "unilm1-base-cased.bin", 6).lowercase
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": True, "strip_accents": False})
    )
    tokenizer = load_tokenizer(tmp_path / "unilm1-base-cased.bin", 6)
    assert (tokenizer.lowercase, tokenizer.strip_accents) == (True, False)


def test_the_size_must_fit(tmp_path):
    vocabulary = write(tmp_path / "vocab.txt", "one", "two")
    with pytest.warns(UserWarning, match="last 1 have no text"):
        load_tokenizer(tmp_path / "a-uncased.bin", 8, vocabulary)
    for size in (6, 9, 200):
        with pytest.raises(ValueError, match=f"7 tokens.*{size}"):
            load_tokenizer(tmp_path / "a-uncased.bin", size, vocabulary)
