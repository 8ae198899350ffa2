import math

from unilmv2_tf.preprocessing.libraries import tf
from unilmv2_tf.preprocessing.random_bits import uniform
from unilmv2_tf.preprocessing.random_bits import uniform_integers

# A span of whole words may have this many tokens for each of its words.
_WHOLE_WORD_ROOM = 4


def num_mask_slots(
    sequence_length, mask_selection_rate=0.15, max_block=6, whole_words=False
):
    """The number of slots that hold any outcome of the masking of a row.

    Spans are masked until at least `mask_selection_rate` of the tokens are
    masked, and the last span may overshoot.

    Args:
        sequence_length: int. The length of the row.
        mask_selection_rate: float. Defaults to `0.15`.
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
    wanted = math.ceil(mask_selection_rate * sequence_length - 1e-9)
    longest = _longest_span(max_block, whole_words)
    return min(sequence_length, wanted - 1 + longest)


def _longest_span(max_block, whole_words):
    """The most tokens of a span; longer ones are not accepted."""
    return max_block * (_WHOLE_WORD_ROOM if whole_words else 1)


def blockwise_masking(
    seeds,
    is_maskable,
    num_tokens,
    mask_selection_rate=0.15,
    block_probability=0.4,
    min_block=2,
    max_block=6,
    is_word_start=None,
):
    """Draws the spans that are masked, and the order of their prediction.

    For each row: draw a start uniformly; draw a length, with probability
    `block_probability` uniformly from `min_block .. max_block`, else 1; accept
    the span if it lies in the text and none of its tokens is masked yet; go on
    until at least `mask_selection_rate` of the tokens are masked. The accepted
    spans, in the order of acceptance, are the factorization steps.

    All rows of the batch are drawn at once. A row's proposals are made in
    advance, and a proposal is accepted if it meets no accepted one before it:
    whether it does is worked out for all of them in a few rounds. This is the
    outcome of the sequential algorithm, not an approximation. Should the
    proposals run out, which takes a high rate or a row of few words, single
    tokens (or words) fill the rest in random order.

    Args:
        seeds: uint64 tensor of shape `(batch,)`, see `random_bits.row_seeds`.
        is_maskable: bool tensor of shape `(batch, n)`, False on special tokens
            and padding. `n` must be known in a graph.
        num_tokens: int tensor of shape `(batch,)`. The tokens that the rate
            refers to: the row without padding.
        mask_selection_rate: float. Defaults to `0.15`.
        block_probability: float. Defaults to `0.4`.
        min_block: int. Defaults to `2`.
        max_block: int. Defaults to `6`.
        is_word_start: optional bool tensor of shape `(batch, n)`. If given,
            starts and lengths count whole words, and spans of more than
            `4 * max_block` tokens are not accepted either.

    Returns:
        An int32 tensor of shape `(batch, n)`: the step at which each token is
        predicted, from 1, and 0 where it is not masked.

    Raises:
        ValueError: if the length of the rows is unknown.

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
    start, end, is_valid = _propose(
        seeds, is_maskable, num_tokens, num_proposals,
        block_probability, min_block, max_block, is_word_start,
    )  # fmt: skip
    # Pairs of proposals are most of the work; smaller integers are faster.
    place_type = tf.int16 if sequence_length < 2**15 else tf.int32
    is_accepted = _accept_in_order(
        tf.cast(start, place_type),
        tf.cast(end, place_type),
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
    sequence_length = is_maskable.shape[1]
    inside = end <= sequence_length
    end = tf.minimum(end, sequence_length)
    # In the text, and without a special token.
    is_valid = inside & starts_well & _is_all(is_maskable, start, end)
    return start, end, is_valid


def _end_of_words(start, num_words, is_word_start):
    """Where the words end; past the end of the row if there are too few."""
    sequence_length = is_word_start.shape[1]
    word_number = tf.cumsum(tf.cast(is_word_start, tf.int32), axis=1)
    next_word = tf.gather(word_number, start, batch_dims=1) + num_words
    # The place where the next word starts, or the end of the row.
    end = tf.searchsorted(word_number, next_word)
    end = tf.where(
        next_word > word_number[:, -1:] + 1, sequence_length + 1, end
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
    """Masks free tokens or words, the smallest priority first."""
    sequence_length = is_maskable.shape[1]
    start = tf.range(sequence_length) + tf.zeros_like(steps)
    is_free = is_maskable & (steps == 0)
    if is_word_start is None:
        end = start + 1
    else:
        end, starts_well = _end_of_words(start, 1, is_word_start)
        is_free = starts_well & _is_all(is_free, start, end)
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


def _is_all(what, start, end):
    """Whether all tokens of spans are something."""
    count = tf.cumsum(tf.cast(what, tf.int32), axis=1)
    count = tf.pad(count, [[0, 0], [1, 0]])
    num_inside = tf.gather(count, end, batch_dims=1) - tf.gather(
        count, start, batch_dims=1
    )
    return num_inside == end - start
