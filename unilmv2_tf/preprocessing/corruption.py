import numpy as np

from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.random_bits import uniform
from unilmv2_tf.preprocessing.random_bits import uniform_integers


def corrupt(
    token_ids,
    seeds,
    counters,
    tokenizer,
    mask_token_rate=0.8,
    random_token_rate=0.1,
):
    """Replaces tokens by `[MASK]`, by a random token, or not at all.

    Args:
        token_ids: int tensor of shape `(batch, m)`.
        seeds: uint64 tensor of shape `(batch,)`.
        counters: int tensor of shape `(batch, m)`, two numbers apart from each
            other, see `random_bits.uniform`.
        tokenizer: a `UniLMv2Tokenizer`.
        mask_token_rate: float. Share of `[MASK]`. Defaults to `0.8`.
        random_token_rate: float. Share of random tokens, special tokens
            excepted; what is left stays as it is. Defaults to `0.1`.

    Returns:
        An int32 tensor of shape `(batch, m)`.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import UniLMv2Tokenizer, corrupt
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    >>> corrupt(
    ...     tf.constant([[5, 6]]), tf.constant([3], tf.uint64),
    ...     tf.constant([[0, 2]]), tokenizer, mask_token_rate=1.0,
    ...     random_token_rate=0.0).numpy().tolist()
    [[4, 4]]

    Reference:
        Devlin et al., 2019, section 3.1; Bao et al., 2020, section 3.3.
    """
    special = set(tokenizer.special_token_ids)
    ordinary = [
        i for i in range(tokenizer.vocabulary_size()) if i not in special
    ]
    token_ids = tf.cast(token_ids, tf.int32)
    kind = uniform(seeds, counters)
    corrupted = token_ids
    if ordinary:
        drawn = uniform_integers(seeds, counters + 1, len(ordinary))
        random_ids = tf.gather(np.array(ordinary, dtype="int32"), drawn)
        is_random = kind < mask_token_rate + random_token_rate
        corrupted = tf.where(is_random, random_ids, corrupted)
    return tf.where(kind < mask_token_rate, tokenizer.mask_token_id, corrupted)


def check_rates(**rates):
    """Checks that rates are shares.

    Args:
        **rates: floats by the name of the argument.

    Raises:
        ValueError: if one is not in `[0, 1]`.
    """
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(
                f"`{name}` must be in [0, 1]. Received: {name}={rate}"
            )
    if {"mask_token_rate", "random_token_rate"} <= set(rates):
        total = rates["mask_token_rate"] + rates["random_token_rate"]
        if total > 1 + 1e-9:
            raise ValueError(
                "`mask_token_rate` and `random_token_rate` must add up to at "
                "most 1; what is left of the tokens stays as it is. Received: "
                f"mask_token_rate={rates['mask_token_rate']}, "
                f"random_token_rate={rates['random_token_rate']}"
            )
