"""Texts with gaps, as integers and filled."""

import pytest

from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.models.infilling import fill_gaps
from unilmv2_tf.models.infilling import rows_with_gaps

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("special_tokens_in_strings", [False, True])
def test_gaps_are_single_tokens(special_tokens_in_strings):
    tokenizer = UniLMv2Tokenizer(
        [*SPECIAL, "the", "fox", "."],
        special_tokens_in_strings=special_tokens_in_strings,
    )
    texts = ["The[MASK]fox.", "[MASK][MASK]", "", "the fox the fox ."]
    rows = rows_with_gaps(texts, tokenizer, 8)
    assert rows["token_ids"].tolist() == [
        [2, 5, 4, 6, 7, 3, 0],
        [2, 4, 4, 3, 0, 0, 0],
        [2, 3, 0, 0, 0, 0, 0],
        [2, 5, 6, 5, 6, 7, 3],
    ]
    assert (rows["padding_mask"] == (rows["token_ids"] > 0)).all()
    assert not rows["segment_ids"].any()
    with pytest.raises(ValueError, match=r"'the the.*9 tokens, more than 8"):
        rows_with_gaps(["the", "the " * 7], tokenizer, 8)


@pytest.mark.parametrize(
    "text, tokens, expected",
    [
        ("A [MASK], b.", ["fox"], "A fox, b."),
        ("[MASK]", ["fox"], "fox"),
        ("jump [MASK]  [MASK]", ["##ed", "over"], "jumped  over"),
        ("the[MASK]dog", ["brown"], "the brown dog"),
        ("([MASK])", ["##s"], "(s)"),
        ("no gap", [], "no gap"),
    ],
)
def test_the_rest_of_a_text_stays(text, tokens, expected):
    assert fill_gaps(text, tokens) == expected
