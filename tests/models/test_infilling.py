"""Gaps that are filled step by step, against the model of pre-training."""

import numpy as np
import pytest
from scipy.special import softmax

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer

WORDS = "the a quick lazy brown fox dog cat jumped slept over under . ##s"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = [
    "The quick [MASK] [MASK] jumped over the [MASK] dog.",
    "A [MASK].",
    "the dog slept .",
    "[MASK] [MASK] [MASK] [MASK] [MASK]",
]


@pytest.fixture(scope="module")
def tokenizer():
    return UniLMv2Tokenizer(SPECIAL + WORDS.split())


@pytest.fixture(scope="module")
def task(make_backbone, tokenizer, randomize):
    return randomize(
        UniLMv2PseudoMaskedLM(
            make_backbone(num_layers=1, num_relative_buckets=8),
            UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=16),
        )
    )


def by_hand(task, text, num_steps):
    """Words, steps and probabilities of the gaps of one text."""
    tokenizer = task.preprocessor.tokenizer
    ids = [2]
    for place, part in enumerate(text.split("[MASK]")):
        ids += [4] * (place > 0) + [int(x) for x in tokenizer(part)]
    ids = np.array([[*ids, 3]])
    gaps = np.flatnonzero(ids[0] == 4)
    filled = {}
    for step in range(1, num_steps + 1):
        still_open = [gap for gap in gaps if gap not in filled]
        outputs = task(
            {
                "token_ids": ids,
                "segment_ids": 0 * ids,
                "padding_mask": 0 * ids + 1,
                "mask_positions": gaps[None],
                "mask_steps": np.array(
                    [[filled[g][1] if g in filled else step for g in gaps]]
                ),
                "revealed_token_ids": np.array(
                    # What is open must not matter.
                    [[filled[g][0] if g in filled else 7 for g in gaps]]
                ),
            }
        )
        logits = np.array(outputs["par"], "float64")[0]
        logits[:, sorted(set(tokenizer.special_token_ids))] = -np.inf
        best = {
            gap: (int(share.argmax()), step, share.max())
            for gap, share in zip(gaps, softmax(logits, axis=-1))
        }
        still_open.sort(key=lambda gap: -best[gap][2])
        number = -(-len(still_open) // (num_steps - step + 1))
        filled.update({gap: best[gap] for gap in still_open[:number]})
    return [filled[gap] for gap in gaps]


@pytest.mark.parametrize("num_steps", [1, 2, None])
def test_is_the_model_of_pre_training_step_by_step(task, num_steps):
    results = task.infill(TEXTS, num_steps=num_steps, top_k=3)
    for text, result in zip(TEXTS, results):
        number = text.count("[MASK]")
        expected = by_hand(task, text, min(num_steps or number, number))
        assert len(result["gaps"]) == number
        for gap, (token_id, step, probability) in zip(result["gaps"], expected):
            (word, found), *others = gap["candidates"]
            assert word == task.preprocessor.tokenizer.id_to_token(token_id)
            assert gap["step"] == step
            assert found == pytest.approx(probability, rel=1e-4)
            assert len(others) == 2 and found >= others[0][1]
            assert not {word for word, _ in gap["candidates"]} & set(SPECIAL)


def test_a_batch_changes_nothing(task):
    texts = task.infill(TEXTS)
    assert texts == [task.infill(text) for text in TEXTS]
    assert texts == task.infill(TEXTS, batch_size=2)
    assert texts[2] == TEXTS[2]
    # Whatever was put in, the rest is as it was.
    assert texts[0].startswith("The quick")
    assert texts[0].endswith(" dog.")
    assert task.infill([]) == []


def test_fine_tuned_models_fill_gaps_too(task, tokenizer, make_backbone):
    other = UniLMv2Seq2SeqLM(
        task.backbone,
        UniLMv2Seq2SeqLMPreprocessor(
            tokenizer, encoder_sequence_length=8, decoder_sequence_length=4
        ),
    )
    other.language_model_head.set_weights(
        task.language_model_head.get_weights()
    )
    assert other.infill(TEXTS) == task.infill(TEXTS)


def test_own_pseudo_token_and_special_tokens_in_strings(
    task, make_backbone, randomize
):
    tokenizer = UniLMv2Tokenizer(
        [*SPECIAL, *WORDS.split()[:-1], "[P]"],
        pseudo_token="[P]",
        special_tokens_in_strings=True,
    )
    task = randomize(
        UniLMv2PseudoMaskedLM(
            make_backbone(num_layers=1),
            UniLMv2PseudoMaskedLMPreprocessor(tokenizer, sequence_length=16),
        )
    )
    result = task.infill(TEXTS[1], top_k=13)
    assert task.pseudo_token_id == 18
    words = {word for word, _ in result["gaps"][0]["candidates"]}
    assert words == set(WORDS.split()[:-1])
    (expected,) = by_hand(task, TEXTS[1], 1)
    assert result["gaps"][0]["candidates"][0] == (
        tokenizer.id_to_token(expected[0]),
        pytest.approx(expected[2], rel=1e-4),
    )


def test_mistakes(task, make_backbone, tokenizer):
    for arguments, message in (
        ({"num_steps": 0}, "`num_steps`.*num_steps=0"),
        ({"top_k": 99}, r"`top_k`.*\[1, 19\].*top_k=99"),
        ({"batch_size": 0}, "`batch_size`.*batch_size=0"),
    ):
        with pytest.raises(ValueError, match=message):
            task.infill(TEXTS, **arguments)
    with pytest.raises(ValueError, match=r"must fit.*50 tokens, more than 40"):
        task.infill(["[MASK] the", "the " * 48])
    without = UniLMv2PseudoMaskedLM(make_backbone(), pseudo_token_id=4)
    with pytest.raises(ValueError, match="needs a `preprocessor`"):
        without.infill("[MASK]")
    autoencoding = UniLMv2PseudoMaskedLM(
        make_backbone(), task.preprocessor, objectives=("ae",)
    )
    with pytest.raises(ValueError, match=r'"par".*objectives=.*ae'):
        autoencoding.infill("[MASK]")
