import math

import tensorflow as tf

from unilmv2_tf.preprocessing.random_bits import uniform
from unilmv2_tf.preprocessing.random_bits import uniform_integers

# Room for the longest words among the spans of whole-word masking.
_WHOLE_WORD_ROOM = 4


def num_mask_slots(
    sequence_length, mask_rate=0.15, max_block=6, whole_words=False
):
    """The number of slots that hold any outcome of the masking of a row.

    The masking goes on while less than `mask_rate` of the tokens are masked,
    and the last span may overshoot.

    Args:
        sequence_length: int. The length of the row.
        mask_rate: float. Defaults to `0.15`.
        max_block: int. The longest span. Defaults to `6`.
        whole_words: bool. Whether spans count words, which may be several
            tokens long. Defaults to `False`.

    Returns:
        An int.

    Example:

    >>> from unilmv2_tf.preprocessing import num_mask_slots
    >>> num_mask_slots(512)
    82
    """
    longest = max_block * (_WHOLE_WORD_ROOM if whole_words else 1)
    wanted = math.ceil(mask_rate * sequence_length - 1e-9)
    return min(sequence_length, wanted - 1 + longest)


def blockwise_masking(
    seeds,
    is_maskable,
    num_tokens,
    mask_rate=0.15,
    block_probability=0.4,
    min_block=2,
    max_block=6,
    is_word_start=None,
):
    """Draws the spans that are masked, and the order of their prediction.

    For each row: draw a start uniformly; draw a length, with probability
    `block_probability` uniformly from `min_block .. max_block`, else 1; accept
    the span if it lies in the text and none of its tokens is masked yet; go on
    until at least `mask_rate` of the tokens are masked. The accepted spans, in
    the order of acceptance, are the factorization steps.

    All rows of the batch are drawn at once. A row's proposals are made in
    advance, and a proposal is accepted if it meets no accepted one before it:
    whether it does is worked out for all of them in a few rounds. This is the
    outcome of the sequential algorithm, not an approximation. Should the
    proposals run out, single tokens fill the rest in random order.

    Args:
        seeds: uint64 tensor of shape `(batch,)`, see `random_bits.row_seeds`.
        is_maskable: bool tensor of shape `(batch, n)`, False on special tokens
            and padding.
        num_tokens: int tensor of shape `(batch,)`. The tokens that the rate
            refers to: the row without padding.
        mask_rate: float. Defaults to `0.15`.
        block_probability: float. Defaults to `0.4`.
        min_block: int. Defaults to `2`.
        max_block: int. Defaults to `6`.
        is_word_start: optional bool tensor of shape `(batch, n)`. If given,
            starts and lengths count whole words.

    Returns:
        An int32 tensor of shape `(batch, n)`: the step at which each token is
        predicted, from 1, and 0 where it is not masked.

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
    sequence_length = tf.shape(is_maskable)[1]
    static_length = is_maskable.shape[1] or 512
    num_proposals = max(32, math.ceil(1.25 * mask_rate * static_length))
    start, end, is_valid = _propose(
        seeds, is_maskable, num_tokens, num_proposals,
        block_probability, min_block, max_block, is_word_start,
    )  # fmt: skip
    is_accepted = _accept_in_order(start, end, is_valid)

    wanted = tf.cast(
        tf.math.ceil(mask_rate * tf.cast(num_tokens, tf.float64) - 1e-9),
        tf.int32,
    )
    span_length = tf.where(is_accepted, end - start, 0)
    masked_before = tf.cumsum(span_length, axis=1, exclusive=True)
    is_accepted &= masked_before < wanted[:, tf.newaxis]
    if is_word_start is not None:
        room = num_mask_slots(static_length, mask_rate, max_block, True)
        is_accepted &= masked_before + span_length <= room

    steps = _steps_by_position(start, end, is_accepted, sequence_length)
    if is_word_start is not None:
        return steps
    num_masked = tf.math.count_nonzero(steps, axis=1, dtype=tf.int32)
    missing = wanted - num_masked
    return tf.cond(
        tf.reduce_any(missing > 0),
        lambda: _fill_with_single_tokens(
            seeds, steps, is_maskable, missing, 3 * num_proposals
        ),
        lambda: steps,
    )


def _propose(
    seeds,
    is_maskable,
    num_tokens,
    num_proposals,
    block_probability,
    min_block,
    max_block,
    is_word_start,
):
    """Starts and ends of the proposals, and whether they lie in the text."""
    draw = tf.range(num_proposals)
    start = uniform_integers(seeds, draw, num_tokens[:, tf.newaxis])
    is_block = uniform(seeds, draw + num_proposals) < block_probability
    block_length = min_block + uniform_integers(
        seeds, draw + 2 * num_proposals, max_block - min_block + 1
    )
    length = tf.where(is_block, block_length, 1)
    if is_word_start is None:
        end = start + length
        starts_well = tf.ones_like(is_block)
    else:
        end, starts_well = _end_of_words(start, length, is_word_start)
    # In the text, and without a special token: all its tokens are maskable.
    num_maskable = tf.cumsum(tf.cast(is_maskable, tf.int32), axis=1)
    num_maskable = tf.pad(num_maskable, [[0, 0], [1, 0]])
    sequence_length = tf.shape(is_maskable)[1]
    inside = end <= sequence_length
    end = tf.minimum(end, sequence_length)
    num_inside = tf.gather(num_maskable, end, batch_dims=1) - tf.gather(
        num_maskable, start, batch_dims=1
    )
    is_valid = inside & starts_well & (num_inside == end - start)
    return start, end, is_valid


def _end_of_words(start, num_words, is_word_start):
    sequence_length = tf.shape(is_word_start)[1]
    place = tf.range(sequence_length)
    word_starts = tf.sort(
        tf.where(is_word_start, place, sequence_length), axis=1
    )
    word_index = tf.cumsum(tf.cast(is_word_start, tf.int32), axis=1) - 1
    first_word = tf.gather(word_index, start, batch_dims=1)
    next_word = first_word + num_words
    end = tf.gather(
        word_starts, tf.minimum(next_word, sequence_length - 1), batch_dims=1
    )
    starts_well = tf.gather(is_word_start, start, batch_dims=1)
    return end, starts_well


def _accept_in_order(start, end, is_valid):
    """Accepts each proposal that meets no accepted one before it."""
    num_proposals = start.shape[1]
    meets = (start[:, :, tf.newaxis] < end[:, tf.newaxis, :]) & (
        start[:, tf.newaxis, :] < end[:, :, tf.newaxis]
    )
    earlier = tf.linalg.band_part(
        tf.ones([num_proposals, num_proposals], tf.bool), -1, 0
    ) & ~tf.eye(num_proposals, dtype=tf.bool)
    meets_earlier = meets & earlier

    def meets_any(which):
        return tf.reduce_any(meets_earlier & which[:, tf.newaxis, :], axis=2)

    def is_unsettled(accepted, open_):
        return tf.reduce_any(open_)

    def settle(accepted, open_):
        # What meets nothing open before it is in; what meets it is out.
        accepted |= open_ & ~meets_any(open_)
        return accepted, open_ & ~accepted & ~meets_any(accepted)

    accepted, _ = tf.while_loop(
        is_unsettled, settle, [tf.zeros_like(is_valid), is_valid]
    )
    return accepted


def _steps_by_position(start, end, is_accepted, sequence_length):
    step = tf.cumsum(tf.cast(is_accepted, tf.int32), axis=1)
    step = tf.where(is_accepted, step, 0)
    batch_size = tf.shape(start)[0]
    row = tf.range(batch_size)[:, tf.newaxis] + tf.zeros_like(start)
    # The step rises at the start of a span and falls at its end.
    places = tf.stack(
        [tf.concat([row, row], 1), tf.concat([start, end], 1)], axis=2
    )
    changes = tf.scatter_nd(
        places,
        tf.concat([step, -step], axis=1),
        tf.stack([batch_size, sequence_length + 1]),
    )
    return tf.cumsum(changes, axis=1)[:, :-1]


def _fill_with_single_tokens(seeds, steps, is_maskable, missing, counter):
    is_free = is_maskable & (steps == 0)
    priority = uniform(seeds, counter + tf.range(tf.shape(steps)[1]))
    priority = tf.where(is_free, priority, 2.0)
    rank = tf.argsort(tf.argsort(priority, axis=1), axis=1)
    is_filled = is_free & (rank < missing[:, tf.newaxis])
    last_step = tf.reduce_max(steps, axis=1, keepdims=True)
    return tf.where(is_filled, last_step + 1 + rank, steps)
