from keras import ops

from unilmv2_tf.layers import mask_to_bias
from unilmv2_tf.layers import step_visibility
from unilmv2_tf.models.cache_writing import write_slices
from unilmv2_tf.models.decoding_weights import DecodingWeights


class CachedDecoder:
    """Predicts target tokens one by one, from cached keys and values.

    Decoding is the pseudo-mask rule again: the next token is predicted at a
    pseudo mask that sees the source and all target tokens so far. A call
    therefore runs two tokens through the layers: the one that was chosen last,
    whose keys and values are kept, and a pseudo mask, whose keys and values
    the next token overwrites.

    The source is encoded once, and its keys and values stand once per example
    in front of those of the target, in one tensor that is written in place. A
    sampler that knows beams calls `start_beams`; then all
    beams of an example share a row, in which each beam has a slot for each
    token, and a table of ancestors says which slots make up which hypothesis.
    `reorder_beams` reorders that table and nothing else. A sampler that does
    not know of it may repeat and reorder the whole `cache`, which has the
    samples on its first axis.

    Args:
        task: a `UniLMv2Seq2SeqLM`.
        token_ids: int tensor of shape `(batch, n)`, the source.
        padding_mask: int tensor of shape `(batch, n)`, 0 on padding.
        max_length: int. The longest target.
        in_place: bool. See `write_slices`: a cache that was passed to a call
            must then not be used again. Defaults to `False`.
        kernels: see `DecodingWeights`. Defaults to `None`.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    def __init__(
        self,
        task,
        token_ids,
        padding_mask,
        max_length,
        in_place=False,
        kernels=None,
    ):
        self.task = task
        self.backbone = task.backbone
        # Slot 0 stands for the token before the first one: there is none.
        self.num_slots = max_length + 1
        self.num_beams = 1
        self.in_place = in_place
        self.source_length = ops.sum(ops.cast(padding_mask, "int32"), axis=1)
        self.num_source_slots = ops.shape(token_ids)[1]
        self._encode_source(token_ids, padding_mask)
        self._weights = DecodingWeights(task, kernels)

    def _encode_source(self, token_ids, padding_mask):
        hidden_states = self.backbone.embeddings(
            token_ids, ops.full_like(token_ids, self.task.source_segment_id)
        )
        bias = self.backbone.attention_bias(padding_mask)
        self.source_padding = bias["context_padding"]
        self.source_keys, self.source_values = [], []
        for layer in self.backbone.transformer_layers:
            hidden_states, keys, values = layer.call_with_keys(
                hidden_states, bias
            )
            self.source_keys.append(keys)
            self.source_values.append(values)

    def initial_cache(self):
        """Returns the cache of an empty target.

        Returns:
            A dict of the tuples `keys` and `values`, by layer, of shape
            `(batch, num_heads, n + max_length + 1, head_dim)`.
        """
        return self._make_cache()

    def start_beams(self, cache, num_beams):
        """Makes room for the beams of each example.

        Args:
            cache: what `initial_cache` returned.
            num_beams: int.

        Returns:
            A dict of the tuples `keys` and `values`, by layer, of shape
            `(batch, num_heads, slots / num_beams, num_beams * head_dim)`,
            where a multiple of `num_beams`, `n` at least, of the slots are the
            source's and `(max_length + 1) * num_beams` the target's; and of
            `ancestors`, of shape `(batch * num_beams, max_length + 1)`.
        """
        del cache
        num_padding = -self.num_source_slots % num_beams
        self.num_beams = num_beams
        self.num_source_slots = self.num_source_slots + num_padding
        hidden = mask_to_bias(
            ops.zeros((1, num_padding), "bool"), self.source_padding.dtype
        )
        batch_size = ops.shape(self.source_length)[0]
        hidden = ops.broadcast_to(hidden, (batch_size, 1, 1, num_padding))
        self.source_padding = ops.concatenate(
            [self.source_padding, hidden], axis=3
        )
        ancestors = ops.broadcast_to(
            self._own_beam(), (batch_size * num_beams, self.num_slots)
        )
        return {**self._make_cache(), "ancestors": ancestors}

    def reorder_beams(self, cache, samples):
        """Lets samples go on from others of the same example.

        Args:
            cache: the cache, after `start_beams`.
            samples: int tensor of shape `(batch * num_beams,)`: which sample
                each one goes on from.

        Returns:
            The cache, of which the keys and values are the same tensors.
        """
        ancestors = ops.take(cache["ancestors"], samples, axis=0)
        return {**cache, "ancestors": ancestors}

    def __call__(self, target_ids, cache, index):
        """Predicts the token at `index` of every sample.

        Args:
            target_ids: int tensor of shape `(samples, max_length)`, known
                before `index`. `samples` is a multiple of the batch size.
            cache: what `initial_cache` or `start_beams`, or the call before,
                returned.
            index: scalar int tensor.

        Returns:
            A tuple of the logits `(samples, vocabulary_size)`, the hidden
            states `(samples, hidden_dim)` and the cache.
        """
        if "ancestors" in cache:
            # Each beam writes, and reads again, at its own place.
            is_new = ops.arange(self.num_slots, dtype="int32") >= index
            ancestors = ops.where(is_new, self._own_beam(), cache["ancestors"])
            cache = {**cache, "ancestors": ancestors}
        hidden_states = self._embed(target_ids, index)
        bias = self._attention_bias(cache, index)
        places = self._places_to_write(cache["keys"][0], index)
        hidden_states, cache = self._run_layers(
            hidden_states, cache, bias, places
        )
        hidden_dim = hidden_states.shape[-1]
        hidden_states = ops.reshape(
            hidden_states[:, self.num_beams :], (-1, hidden_dim)
        )
        return self._weights.vocabulary(hidden_states), hidden_states, cache

    # A row holds the beams of an example, or one sample. Its queries are the
    # last tokens of its beams, then the pseudo masks of its beams; its slots
    # are those of the source, then of the first token, by beam, and so on.

    def _make_cache(self):
        return {
            "keys": tuple(self._with_room(x) for x in self.source_keys),
            "values": tuple(self._with_room(x) for x in self.source_values),
        }

    def _with_room(self, x):
        batch_size, num_heads, length, head_dim = ops.shape(x)
        room = self.num_source_slots - length + self.num_slots * self.num_beams
        room = ops.zeros((batch_size, num_heads, room, head_dim), x.dtype)
        x = ops.concatenate([x, room], axis=2)
        width = self.num_beams * head_dim
        return ops.reshape(x, (batch_size, num_heads, -1, width))

    def _own_beam(self):
        """The beam that each sample is, of shape `(samples, 1)`."""
        batch_size = ops.shape(self.source_length)[0]
        beams = ops.arange(self.num_beams, dtype="int32")
        return ops.tile(beams[:, None], (batch_size, 1))

    def _embed(self, target_ids, index):
        last = ops.take(target_ids, ops.maximum(index - 1, 0)[None], axis=1)
        last = ops.reshape(last, (-1, self.num_beams))
        token_ids = ops.concatenate(
            [last, ops.full_like(last, self.task.pseudo_token_id)], axis=1
        )
        positions = ops.repeat(self._positions(index), self.num_beams, axis=1)
        return self.backbone.embeddings(
            token_ids,
            ops.full_like(token_ids, self.task.target_segment_id),
            position_ids=self._by_row(positions, ops.shape(token_ids)[0]),
        )

    def _positions(self, index):
        """Of the last token and of the pseudo mask, `(batch, 2)`."""
        return self.source_length[:, None] + self._two_places(index)

    def _two_places(self, index):
        return ops.stack([ops.maximum(index - 1, 0), index])

    def _by_row(self, x, num_rows):
        """Repeats `(batch, ...)` for the rows that a sampler has made."""
        batch_size = ops.shape(self.source_length)[0]
        return ops.repeat(x, num_rows // batch_size, axis=0)

    def _places_to_write(self, cached, index):
        """Where the new keys of each row and head go, see `write_slices`.

        A slice has the slots of all beams: few large updates are written much
        faster than many small ones.
        """
        num_rows, num_heads, num_places, _ = ops.shape(cached)
        starts = ops.arange(num_rows * num_heads, dtype="int32") * num_places
        first = self.num_source_slots // self.num_beams
        tokens = first + index + ops.arange(2, dtype="int32")
        return ops.reshape(starts[:, None] + tokens, (-1,))

    def _attention_bias(self, cache, index):
        """What is added to the scores, `(rows, 1|heads, queries, slots)`."""
        num_rows = ops.shape(cache["keys"][0])[0]
        source, target = self._relative_bias(index)
        source = ops.repeat(source, self.num_beams, axis=2)
        source = self._by_row(source, num_rows)
        target = ops.repeat(target, self.num_beams, axis=2)
        target = ops.repeat(target, self.num_beams, axis=3)
        target = target + self._target_visibility(cache, index)
        target = ops.broadcast_to(
            target, (num_rows, *ops.shape(source)[1:3], ops.shape(target)[3])
        )
        return ops.concatenate([source, target], axis=3)

    def _relative_bias(self, index):
        """By position only: `(batch, 1|heads, 2, n)` to the source, padding
        included, and `(1, 1|heads, 2, slots)` to the target.
        """
        slots = ops.arange(self.num_slots, dtype="int32")
        source = self.source_padding
        relative_bias = self.backbone.relative_position_bias
        if relative_bias is None:
            source = ops.repeat(source, 2, axis=2)
            target = ops.zeros_like(slots, dtype=source.dtype)
            return source, ops.tile(target[None, None, None], (1, 1, 2, 1))
        keys = ops.arange(self.num_source_slots, dtype="int32")[None]
        source = source + relative_bias(self._positions(index), keys)
        target = relative_bias(
            self._two_places(index)[None], ops.maximum(slots - 1, 0)[None]
        )
        return source, target

    def _target_visibility(self, cache, index):
        """Bias `(rows | 1, 1, queries, slots * beams)` of the rule of steps,
        and of who descends from whom.
        """
        slots = ops.arange(self.num_slots, dtype="int32")
        query_steps = ops.stack([index, -index - 1])
        # The token of slot i is that of step i. Slot 0 is never seen, the slot
        # after the last token holds the pseudo mask for now.
        key_steps = ops.where(slots == index + 1, -index - 1, slots)
        key_steps = ops.where(slots == 0, self.num_slots, key_steps)
        visible = step_visibility(query_steps, key_steps)
        visible = visible[None, :, None, :, None]
        if "ancestors" in cache:
            beams = ops.arange(self.num_beams, dtype="int32")
            ancestors = ops.reshape(
                cache["ancestors"], (-1, 1, self.num_beams, self.num_slots, 1)
            )
            visible = ops.logical_and(visible, ancestors == beams)
        num_keys = self.num_slots * self.num_beams
        visible = ops.reshape(visible, (-1, 2 * self.num_beams, num_keys))
        return mask_to_bias(visible, self.source_padding.dtype)[:, None]

    def _run_layers(self, hidden_states, cache, bias, places):
        """All layers, on `(rows, queries, hidden_dim)`."""
        shape = ops.shape(hidden_states)
        by_head, by_token = self._orders(shape[0], shape[1])
        # Products of matrices take bias and activation along, others do not.
        hidden_states = ops.reshape(hidden_states, (-1, shape[2]))
        self._weights.expect_rows(shape[0] * shape[1])
        all_keys, all_values = [], []
        for layer, keys, values in zip(
            self._weights.layers, cache["keys"], cache["values"]
        ):
            query, keys, values = self._project_and_write(
                layer.projections(hidden_states),
                keys,
                values,
                by_head,
                places,
                shape[1],
            )
            all_keys.append(keys)
            all_values.append(values)
            output = self._attend(layer, query, keys, values, bias, by_token)
            hidden_states = layer.feed_forward(hidden_states, output)
        cache = {**cache, "keys": tuple(all_keys), "values": tuple(all_values)}
        return ops.reshape(hidden_states, shape), cache

    def _orders(self, num_rows, num_queries):
        """Which heads of which tokens stand where, tokens first and back.

        Such transpositions are faster as gathers of whole heads.
        """
        num_heads = self.backbone.num_heads

        def order(shape, axes):
            size = num_rows * num_queries * num_heads
            if len(shape) == 4:
                size = size * 3
            places = ops.reshape(ops.arange(size, dtype="int32"), shape)
            return ops.reshape(ops.transpose(places, axes), (-1,))

        return (
            order((num_rows, num_queries, 3, num_heads), (2, 0, 3, 1)),
            order((num_rows, num_heads, num_queries), (0, 2, 1)),
        )

    def _project_and_write(
        self, joined, cached_keys, cached_values, by_head, places, num_queries
    ):
        """Scaled queries `(rows, heads, queries, depth)`, and the cached keys
        and values with the new ones.
        """
        num_rows, num_heads, _, width = ops.shape(cached_keys)
        head_dim = width // self.num_beams
        joined = ops.take(ops.reshape(joined, (-1, head_dim)), by_head, axis=0)
        query, key, value = ops.split(joined, 3, axis=0)
        query = ops.reshape(
            query * head_dim**-0.5,
            (num_rows, num_heads, num_queries, head_dim),
        )
        return (
            query,
            self._write(cached_keys, places, key),
            self._write(cached_values, places, value),
        )

    def _attend(self, layer, query, cached_keys, cached_values, bias, by_token):
        attention = layer.attention
        keys = ops.transpose(self._slots(cached_keys), (0, 1, 3, 2))
        probabilities = attention.softmax(ops.matmul(query, keys) + bias)
        output = ops.matmul(probabilities, self._slots(cached_values))
        output = ops.reshape(output, (-1, attention.head_dim))
        output = ops.take(output, by_token, axis=0)
        return layer.attention_output(
            ops.reshape(output, (-1, attention.hidden_dim))
        )

    def _write(self, cached, places, new):
        new = ops.reshape(new, (-1, cached.shape[-1]))
        return write_slices(cached, places, new, self.in_place)

    def _slots(self, cached):
        """The beams of a token as keys of their own."""
        num_rows, num_heads, _, width = ops.shape(cached)
        shape = (num_rows, num_heads, -1, width // self.num_beams)
        return ops.reshape(cached, shape)
