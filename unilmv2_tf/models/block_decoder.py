from keras import ops

from unilmv2_tf.layers import mask_to_bias
from unilmv2_tf.layers import step_visibility
from unilmv2_tf.models.cached_decoder import CachedDecoder


class BlockDecoder(CachedDecoder):
    """A `CachedDecoder` that can also take several tokens in one pass.

    A sampler that guesses tokens calls `start_blocks`, and then `block_step`
    instead of the decoder itself. Such a pass runs three groups of `k` tokens
    through the layers, all at consecutive slots behind the tokens that are
    settled. With `k = 3`, where `5` is the last token that is certain, at
    place 7, and `6 9` are guesses of what follows:

        group   window     verifying     drafting
        token    5  6  9   [P] [P] [P]   [P] [P] [P]
        place    7  8  9     8   9  10    10  11  12
        step     8  9 10    -9 -10 -11   -12 -12 -12

    A verifying mask sees the window before its place, and no other mask: what
    it predicts is exactly what decoding one by one predicts there, as long as
    the window is right up to it. The drafting masks see the whole window and
    each other. They predict a block in one step, as partially autoregressive
    pre-training does. The keys and values of guesses that prove right stay
    where they are; the next pass writes over the rest, which no one has seen.

    Args:
        task: a `UniLMv2Seq2SeqLM`.
        token_ids: int tensor of shape `(batch, n)`, the source.
        padding_mask: int tensor of shape `(batch, n)`, 0 on padding.
        max_length: int. The longest target.
        in_place: bool. See `CachedDecoder`. Defaults to `False`.
        kernels: see `DecodingWeights`. Defaults to `None`.

    Example:

    >>> import numpy as np
    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> from unilmv2_tf.models import BlockDecoder
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone.from_preset("unilmv2_tiny", vocabulary_size=99),
    ...     pseudo_token_id=4)
    >>> source = np.array([[2, 7, 8, 3]])
    >>> decoder = BlockDecoder(task, source, 0 * source + 1, max_length=6)
    >>> cache = decoder.start_blocks(decoder.initial_cache(), block_size=3)
    >>> verified, drafted, cache = decoder.block_step(
    ...     np.array([[0, 0, 0]]), cache, np.array([-1]), np.array([0]))
    >>> tuple(verified.shape), tuple(drafted.shape)
    ((1, 3, 99), (1, 3, 99))

    Reference:
        Bao et al., 2020, section 3; Stern et al., 2018 (guesses that are
        verified by the pass that makes the next ones).
    """

    def start_blocks(self, cache, block_size):
        """Makes room for what a pass writes.

        Args:
            cache: what `initial_cache` returned.
            block_size: int, `k`.

        Returns:
            A cache for `block_step`, with `3 * k` slots more.
        """
        del cache
        self.block_size = block_size
        self.max_length = self.num_slots - 1
        self.num_slots = self.num_slots + 3 * block_size
        return self._make_cache()

    def block_step(self, window, cache, start, num_guesses):
        """Verifies the guesses of every sample, and drafts what follows them.

        Args:
            window: int tensor of shape `(batch, k)`. The last token that is
                certain, and guesses.
            cache: what `start_blocks`, or the call before, returned.
            start: int tensor of shape `(batch,)`. The place of the first
                token of the window in the target; -1 at the beginning, where
                there is none.
            num_guesses: int tensor of shape `(batch,)`, below `k`. How many
                guesses there are; what follows in the window is not seen.

        Returns:
            A tuple of the logits of the verifying masks, which are at the
            places `start + 1 .. start + k`, and of the drafting masks, at
            `start + num_guesses + 1 .. start + num_guesses + k`, both of shape
            `(batch, k, vocabulary_size)`; and of the cache.
        """
        start = ops.cast(start, "int32")[:, None]
        num_guesses = ops.cast(num_guesses, "int32")[:, None]
        num_queries = 3 * self.block_size
        new_slots = start + 1 + ops.arange(num_queries, dtype="int32")
        query_places = self._places(new_slots, start, num_guesses)
        hidden_states = self._embed_block(window, query_places)
        hidden_states, cache = self._run_layers(
            hidden_states,
            cache,
            self._block_bias(new_slots, query_places, start, num_guesses),
            self._block_slots(cache["keys"][0], new_slots),
        )
        logits = self._weights.vocabulary(hidden_states[:, self.block_size :])
        verified = logits[:, : self.block_size]
        drafted = logits[:, self.block_size :]
        return verified, drafted, cache

    def _groups(self, slots, start):
        """Which place of which group of this pass stands in a slot.

        Returns:
            A tuple of the place within the group and of three masks: whether a
            slot is of the window, of the verifying and of the drafting masks.
        """
        offset = slots - (start + 1)
        group = ops.floor_divide(offset, self.block_size)
        return (
            offset - group * self.block_size,
            group == 0,
            group == 1,
            group == 2,
        )

    def _places(self, slots, start, num_guesses):
        """The places in the target of what stands in slots."""
        within, _, is_verifying, is_drafting = self._groups(slots, start)
        # Token i is in slot i + 1.
        places = ops.where(is_verifying, start + 1 + within, slots - 1)
        return ops.where(is_drafting, start + num_guesses + 1 + within, places)

    def _steps(self, slots, start, num_guesses):
        """The steps of what stands in slots, `(batch, slots)`."""
        within, is_window, is_verifying, is_drafting = self._groups(
            slots, start
        )
        is_guess = is_window & (within <= num_guesses)
        is_seen = ((slots <= start) | is_guess) & (slots > 0)
        # A step after all others is seen by none of them.
        steps = ops.where(is_seen, slots, 2 * self.num_slots)
        steps = ops.where(is_verifying, -(start + within + 2), steps)
        # A step more than it would take to see the window, so that the last
        # verifying mask is not of the same step.
        drafting = -(start + self.block_size + 2)
        # What lies behind the longest target is of no use to a block.
        is_inside = start + num_guesses + 1 + within < self.max_length
        return ops.where(is_drafting & is_inside, drafting, steps)

    def _embed_block(self, window, places):
        masks = ops.full_like(window, self.task.pseudo_token_id)
        token_ids = ops.concatenate([window, masks, masks], axis=1)
        return self.backbone.embeddings(
            token_ids,
            ops.full_like(token_ids, self.task.target_segment_id),
            position_ids=self.source_length[:, None] + self._inside(places),
        )

    def _inside(self, places):
        """Places that have a position, for tokens that nobody will read."""
        return ops.clip(places, 0, self.max_length - 1)

    def _block_bias(self, new_slots, query_places, start, num_guesses):
        """What is added to the scores, `(batch, 1|heads, queries, slots)`."""
        slots = ops.arange(self.num_slots, dtype="int32")[None]
        visible = step_visibility(
            self._steps(new_slots, start, num_guesses),
            self._steps(slots, start, num_guesses),
        )
        source = self.source_padding
        target = mask_to_bias(visible, source.dtype)[:, None]
        relative_bias = self.backbone.relative_position_bias
        if relative_bias is None:
            source = ops.repeat(source, 3 * self.block_size, axis=2)
            return ops.concatenate([source, target], axis=3)
        query_places = self._inside(query_places)
        key_places = self._inside(self._places(slots, start, num_guesses))
        source_places = ops.arange(self.num_source_slots, dtype="int32")[None]
        source = source + relative_bias(
            self.source_length[:, None] + query_places, source_places
        )
        target = target + relative_bias(query_places, key_places)
        return ops.concatenate([source, target], axis=3)

    def _block_slots(self, cached, new_slots):
        """Where the new keys of each row and head go, see `write_slices`."""
        num_rows, num_heads, num_slots, _ = ops.shape(cached)
        starts = ops.arange(num_rows * num_heads, dtype="int32") * num_slots
        starts = ops.reshape(starts, (num_rows, num_heads, 1))
        places = starts + self.num_source_slots + new_slots[:, None]
        return ops.reshape(places, (-1,))
