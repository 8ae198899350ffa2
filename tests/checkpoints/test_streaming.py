"""Presets written tensor by tensor are those that a model would write."""

import json

import h5py
import numpy as np
import pytest

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.checkpoints import save_official
from unilmv2_tf.checkpoints.lazy_array import LazyArray
from unilmv2_tf.checkpoints.official import build_model
from unilmv2_tf.checkpoints.presets import write_preset
from unilmv2_tf.checkpoints.readers import open_tensors
from unilmv2_tf.checkpoints.sources import open_checkpoint
from unilmv2_tf.checkpoints.streaming import convert_to_preset

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two"]


def contents(path):
    """All datasets, groups and their attributes, but for names."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.__setitem__(
                name,
                (
                    # Models are numbered as they are made.
                    {k: v for k, v in item.attrs.items() if k != "name"},
                    item[()] if isinstance(item, h5py.Dataset) else None,
                ),
            )
        )
    return found


@pytest.fixture
def tokenizer():
    return UniLMv2Tokenizer(TOKENS)


@pytest.mark.parametrize(
    "cls, kwargs",
    [
        (UniLMv2Backbone, {}),
        (UniLMv2Seq2SeqLM, {"pseudo_token_id": 4}),
        (UniLMv2TextClassifier, {"num_classes": 3}),
    ],
)
def test_the_same_preset(cls, kwargs, tokenizer, tmp_path):
    backbone = UniLMv2Backbone(
        vocabulary_size=7,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=12,
        max_sequence_length=20,
    )
    if cls is UniLMv2Backbone:
        model = backbone
    else:
        model = cls(backbone, **kwargs)
    save_official(model, tmp_path / "official")
    if cls is not UniLMv2Backbone:
        kwargs = {
            "name": "task",
            "preprocessor": cls.default_preprocessor(tokenizer, 20),
        }
    checkpoint = open_checkpoint(tmp_path / "official")
    convert_to_preset(
        checkpoint, cls, tmp_path / "streamed", tokenizer, **kwargs
    )
    model, placements = build_model(checkpoint, cls, **kwargs)
    write_preset(model, tmp_path / "whole", tokenizer, placements=placements)
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {path.name for path in (tmp_path / "streamed").iterdir()}
    for name in sorted(names):
        one, two = tmp_path / "streamed" / name, tmp_path / "whole" / name
        if name.endswith(".h5"):
            np.testing.assert_equal(contents(one), contents(two))
        elif name in ("config.json", "task.json", "conversion.json"):
            assert without_names(json.loads(one.read_text())) == without_names(
                json.loads(two.read_text())
            )
        elif name == "metadata.json":
            counts = [
                json.loads(path.read_text())["parameter_count"]
                for path in (one, two)
            ]
            assert counts[0] == counts[1] == backbone.count_params()


def without_names(content):
    """Layers are numbered as they are made."""
    if isinstance(content, dict):
        return {
            key: without_names(part)
            for key, part in content.items()
            if key != "name"
        }
    if isinstance(content, list):
        return [without_names(part) for part in content]
    return content


def test_pieces_are_the_whole(golden_dir):
    for form in ("pytorch_model.bin", "model.safetensors"):
        tensors = open_tensors(golden_dir / "tiny_relpos" / form)
        for lazy in tensors.values():
            assert isinstance(lazy, LazyArray)
            pieces = [*lazy.chunks(max_bytes=1000)]
            assert len(pieces) > 1 or lazy.nbytes <= 1000 or lazy.shape[0] == 1
            np.testing.assert_array_equal(np.concatenate(pieces), lazy)


def test_damage_in_a_piece_is_found(golden_dir, tmp_path):
    content = bytearray(
        (golden_dir / "tiny_relpos/pytorch_model.bin").read_bytes()
    )
    path = tmp_path / "damaged.bin"
    name = "bert.embeddings.word_embeddings.weight"
    values = np.asarray(
        open_tensors(golden_dir / "tiny_relpos/pytorch_model.bin")[name]
    )
    place = content.index(values.tobytes())
    content[place + 999] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.bin.*CRC"):
        for _ in open_tensors(path)[name].chunks(max_bytes=1000):
            pass
