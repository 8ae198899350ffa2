"""Which tokens are masked, in which order, and what the context shows instead.

`blockwise_masking` is algorithm 1 of Bao et al., 2020, for whole batches.
"""

import math

import numpy as np

from unilmv2_tf.preprocessing.random_bits import uniform
from unilmv2_tf.preprocessing.random_bits import uniform_integers
from unilmv2_tf.preprocessing.tensorflow_graph import tf

# A span of whole words may have this many tokens for each of its words.
_TOKENS_PER_WORD = 4


def num_mask_slots(
    sequence_length: int,
    mask_selection_rate: float = 0.15,
    max_block: int = 6,
    whole_words: bool = False,
) -> int:
    """Returns the largest number of tokens that may be masked in a row."""
    wanted = math.ceil(mask_selection_rate * sequence_length - 1e-9)
    longest = _longest_span(max_block, whole_words)
    return min(sequence_length, wanted - 1 + longest)


def _longest_span(max_block, whole_words):
    return max_block * (_TOKENS_PER_WORD if whole_words else 1)


def blockwise_masking(
    seeds,
    is_maskable,
    num_tokens,
    mask_selection_rate: float = 0.15,
    block_probability: float = 0.4,
    min_block: int = 2,
    max_block: int = 6,
    is_word_start=None,
):
    """Draws the spans that are masked, and the order of their prediction.

    For each row: draw a start uniformly; draw a length, with probability
    `block_probability` uniformly from `min_block .. max_block`, else 1; accept
    the span if it lies in the text and none of its tokens is masked yet; repeat
    until at least `mask_selection_rate` of the tokens are masked.

    The proposals of all rows are drawn in advance, and accepted if they overlap
    no earlier accepted one, which a few parallel rounds decide: exactly the
    outcome of the sequential algorithm. If they run out, which takes a high
    rate or a row of few words, single tokens (or words) fill the rest.

    Args:
        seeds: uint64 tensor of shape `(batch,)`, see `random_bits.row_seeds`.
        is_maskable: bool tensor of shape `(batch, n)`, False on special tokens
            and padding. `n` must be static.
        num_tokens: int tensor of shape `(batch,)`. The number of tokens that
            the rate refers to: the row without padding.
        mask_selection_rate, block_probability, min_block, max_block: See
            `UniLMv2PseudoMaskedLMPreprocessor`.
        is_word_start: optional bool tensor of shape `(batch, n)`. If given,
            starts and lengths count whole words, and spans of more than
            `4 * max_block` tokens are rejected too.

    Returns:
        An int32 tensor of shape `(batch, n)`: the step at which each token is
        predicted, from 1, and 0 where it is not masked.

    Raises:
        ValueError: if the length of the rows is not static.

    Example:

    >>> import tensorflow as tf
    >>> from unilmv2_tf.preprocessing import blockwise_masking
    >>> steps = blockwise_masking(
    ...     seeds=tf.constant([1], tf.uint64),
    ...     is_maskable=tf.constant([[False] + [True] * 18 + [False]]),
    ...     num_tokens=tf.constant([20]))
    >>> int(tf.math.count_nonzero(steps)) >= 3
    True

    Reference:
        Bao et al., 2020, algorithm 1.
    """
    sequence_length = is_maskable.shape[1]
    if sequence_length is None:
        # The number of proposals depends on it, and the numbers drawn on that.
        raise ValueError(
            "`is_maskable` must have a known length. Received: "
            f"shape={is_maskable.shape}. Set it with `tf.ensure_shape`."
        )
    num_proposals = max(
        32, math.ceil(1.25 * mask_selection_rate * sequence_length)
    )
    longest = _longest_span(max_block, is_word_start is not None)
    lengths = _span_lengths(
        seeds, num_proposals, block_probability, min_block, max_block
    )
    start, end, is_valid = _propose(
        seeds, lengths, is_maskable, num_tokens, is_word_start
    )
    # Comparing pairs of proposals is most of the work, faster in int16.
    dtype = tf.int16 if sequence_length < 2**15 else tf.int32
    is_accepted = _accept_in_order(
        tf.cast(start, dtype),
        tf.cast(end, dtype),
        is_valid & (end - start <= longest),
    )

    wanted = tf.cast(
        tf.math.ceil(
            mask_selection_rate * tf.cast(num_tokens, tf.float64) - 1e-9
        ),
        tf.int32,
    )
    span_length = tf.where(is_accepted, end - start, 0)
    masked_before = tf.cumsum(span_length, axis=1, exclusive=True)
    is_accepted &= masked_before < wanted[:, tf.newaxis]

    steps = _steps_by_position(start, end, is_accepted, sequence_length)
    num_masked = tf.math.count_nonzero(steps, axis=1, dtype=tf.int32)
    return tf.cond(
        tf.reduce_any(num_masked < wanted),
        lambda: _fill_with_singles(
            steps, is_maskable, is_word_start, wanted - num_masked, longest,
            priority=uniform(
                seeds, 3 * num_proposals + tf.range(sequence_length)
            ),
        ),
        lambda: steps,
    )  # fmt: skip


def _span_lengths(
    seeds, num_proposals, block_probability, min_block, max_block
):
    draw = tf.range(num_proposals)
    is_block = uniform(seeds, draw + num_proposals) < block_probability
    block_length = min_block + uniform_integers(
        seeds, draw + 2 * num_proposals, max_block - min_block + 1
    )
    return tf.where(is_block, block_length, 1)


def _propose(seeds, lengths, is_maskable, num_tokens, is_word_start):
    """Draws starts; returns starts, ends, and whether spans lie in the text."""
    draw = tf.range(lengths.shape[1])
    start = uniform_integers(seeds, draw, num_tokens[:, tf.newaxis])
    if is_word_start is None:
        end = start + lengths
        starts_word = True
    else:
        end, starts_word = _end_of_words(start, lengths, is_word_start)
    sequence_length = is_maskable.shape[1]
    is_inside = end <= sequence_length
    end = tf.minimum(end, sequence_length)
    is_valid = is_inside & starts_word & _all_in_span(is_maskable, start, end)
    return start, end, is_valid


def _end_of_words(start, num_words, is_word_start):
    """The ends of spans, beyond the row if words are too few; valid starts."""
    sequence_length = is_word_start.shape[1]
    word_number = tf.cumsum(tf.cast(is_word_start, tf.int32), axis=1)
    next_word = tf.gather(word_number, start, batch_dims=1) + num_words
    # The position where the next word starts, or the end of the row.
    end = tf.searchsorted(word_number, next_word)
    end = tf.where(
        next_word > word_number[:, -1:] + 1, sequence_length + 1, end
    )
    starts_word = tf.gather(is_word_start, start, batch_dims=1)
    return end, starts_word


def _accept_in_order(start, end, is_valid):
    """Accepts each proposal that overlaps no earlier accepted one."""
    num_proposals = start.shape[1]
    overlaps = (start[:, :, tf.newaxis] < end[:, tf.newaxis, :]) & (
        start[:, tf.newaxis, :] < end[:, :, tf.newaxis]
    )
    earlier = tf.linalg.band_part(
        tf.ones([num_proposals, num_proposals], tf.bool), -1, 0
    ) & ~tf.eye(num_proposals, dtype=tf.bool)
    overlaps_earlier = overlaps & earlier

    def overlaps_any(which):
        return tf.reduce_any(overlaps_earlier & which[:, tf.newaxis, :], axis=2)

    def is_unsettled(accepted, open_):
        return tf.reduce_any(open_)

    def settle(accepted, open_):
        # Accept what overlaps no earlier open proposal, reject what overlaps
        # an accepted one, and repeat with the rest.
        accepted |= open_ & ~overlaps_any(open_)
        return accepted, open_ & ~accepted & ~overlaps_any(accepted)

    accepted, _ = tf.while_loop(
        is_unsettled, settle, [tf.zeros_like(is_valid), is_valid]
    )
    return accepted


def _steps_by_position(start, end, is_accepted, sequence_length):
    step = tf.cumsum(tf.cast(is_accepted, tf.int32), axis=1)
    step = tf.where(is_accepted, step, 0)
    # The step rises at the start of a span and falls at its end. A segment sum
    # takes half the time of `scatter_nd`.
    batch_size = tf.shape(start)[0]
    width = sequence_length + 1
    row = width * tf.range(batch_size)[:, tf.newaxis]
    changes = tf.math.unsorted_segment_sum(
        tf.concat([step, -step], axis=1),
        tf.concat([row + start, row + end], axis=1),
        batch_size * width,
    )
    changes = tf.reshape(changes, [batch_size, width])
    return tf.cumsum(changes, axis=1)[:, :-1]


def _fill_with_singles(
    steps, is_maskable, is_word_start, missing, longest, priority
):
    """Masks free tokens or words, in the order of a random priority."""
    sequence_length = is_maskable.shape[1]
    start = tf.range(sequence_length) + tf.zeros_like(steps)
    is_free = is_maskable & (steps == 0)
    if is_word_start is None:
        end = start + 1
    else:
        end, starts_word = _end_of_words(start, 1, is_word_start)
        is_free = starts_word & _all_in_span(is_free, start, end)
        is_free &= end - start <= longest
    order = tf.argsort(tf.where(is_free, priority, 2.0), axis=1)
    start, end, is_free = (
        tf.gather(x, order, batch_dims=1) for x in (start, end, is_free)
    )
    length = tf.where(is_free, end - start, 0)
    filled_before = tf.cumsum(length, axis=1, exclusive=True)
    is_filled = is_free & (filled_before < missing[:, tf.newaxis])
    more_steps = _steps_by_position(start, end, is_filled, sequence_length)
    last_step = tf.reduce_max(steps, axis=1, keepdims=True)
    return tf.where(more_steps > 0, last_step + more_steps, steps)


def _all_in_span(condition, start, end):
    """Whether a condition holds for all tokens of each span."""
    count = tf.cumsum(tf.cast(condition, tf.int32), axis=1)
    count = tf.pad(count, [[0, 0], [1, 0]])
    num_inside = tf.gather(count, end, batch_dims=1) - tf.gather(
        count, start, batch_dims=1
    )
    return num_inside == end - start


def corrupt(
    token_ids,
    seeds,
    counters,
    tokenizer,
    mask_token_rate=0.8,
    random_token_rate=0.1,
):
    """Replaces tokens by `[MASK]`, by a random token, or not at all."""
    special = set(tokenizer.special_token_ids)
    ordinary = [
        i for i in range(tokenizer.vocabulary_size()) if i not in special
    ]
    token_ids = tf.cast(token_ids, tf.int32)
    chance = uniform(seeds, counters)
    corrupted = token_ids
    if ordinary:
        drawn = uniform_integers(seeds, counters + 1, len(ordinary))
        random_ids = tf.gather(np.array(ordinary, dtype="int32"), drawn)
        is_random = chance < mask_token_rate + random_token_rate
        corrupted = tf.where(is_random, random_ids, corrupted)
    return tf.where(
        chance < mask_token_rate, tokenizer.mask_token_id, corrupted
    )


def check_rates(**rates):
    """Raises if a rate is outside `[0, 1]`, or two exceed 1 together."""
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ValueError(
                f"`{name}` must be in [0, 1]. Received: {name}={rate}"
            )
    mask = rates.get("mask_token_rate", 0)
    random = rates.get("random_token_rate", 0)
    if mask + random > 1 + 1e-9:
        raise ValueError(
            "`mask_token_rate` and `random_token_rate` must add up to at most "
            "1; the other masked tokens stay as they are. Received: "
            f"mask_token_rate={mask}, random_token_rate={random}"
        )
