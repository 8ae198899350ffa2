from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.plots import show_mask as draw_mask
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary


def show_mask(
    text: str,
    output: str = "mask.png",
    vocabulary: str | None = None,
    mask_rate: float = 0.4,
    block_probability: float = 0.4,
    seed: int = 0,
):
    """Draws who sees whom when a sentence is masked.

    Args:
        text: The sentence.
        output: The picture to write (PNG).
        vocabulary: A vocabulary file. Without one, the words of the sentence
            are the vocabulary.
        mask_rate: The share of the tokens that are masked at least.
        block_probability: The probability of a span of several tokens.
        seed: Fixes the draw; another seed, other masks.
    """
    if not text.strip():
        raise ValueError(
            "`text` must hold at least one word. Received an empty text."
        )
    if vocabulary is None:
        # Large enough for any sentence's words to be whole.
        tokens = learn_vocabulary([text], vocabulary_size=4096)
    else:
        tokens = load_vocabulary(vocabulary)
    drawing, _ = draw_mask(
        text,
        UniLMv2Tokenizer(tokens),
        mask_rate=mask_rate,
        block_probability=block_probability,
        seed=seed,
        path=output,
    )
    print(drawing)
    print(f"\nwritten to {output}")
