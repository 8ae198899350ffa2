import numpy as np

from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.plots import show_mask as draw_mask
from unilmv2_tf.preprocessing.vocabulary import SPECIAL_TOKENS
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary


def show_mask(
    text: str,
    output: str = "mask.png",
    vocabulary: str | None = None,
    mask_selection_rate: float = 0.4,
    block_probability: float = 0.4,
    seed: int = 0,
):
    """Draws who sees whom when a sentence is masked.

    Args:
        text: The sentence.
        output: The picture to write (PNG).
        vocabulary: A vocabulary file. Without one, the words of the sentence
            are the vocabulary.
        mask_selection_rate: The share of the tokens that are masked at least.
        block_probability: The probability of a span of several tokens.
        seed: Fixes the draw; another seed, other masks.
    """
    if not text.strip():
        raise ValueError(
            "`text` must hold at least one word. Received an empty text."
        )
    if vocabulary is None:
        tokenizer = _tokenizer_of_words(text)
    else:
        tokenizer = UniLMv2Tokenizer(load_vocabulary(vocabulary))
    drawing, _ = draw_mask(
        text,
        tokenizer,
        mask_selection_rate=mask_selection_rate,
        block_probability=block_probability,
        sequence_length=40,
        seed=seed,
        path=output,
    )
    print(drawing)
    print(f"\nwritten to {output}")


def _tokenizer_of_words(text):
    # Pieces of a word are joined if they occur twice: read it twice, and all
    # of its words are whole. The pieces go, or they might come up as random
    # tokens.
    tokens = learn_vocabulary([text, text], vocabulary_size=4096)
    token_ids = np.unique(UniLMv2Tokenizer(tokens)(text))
    words = [tokens[token_id] for token_id in token_ids]
    return UniLMv2Tokenizer(
        [*SPECIAL_TOKENS, *(w for w in words if w not in SPECIAL_TOKENS)]
    )
