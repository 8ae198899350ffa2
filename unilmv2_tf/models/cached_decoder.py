import keras
from keras import ops

from unilmv2_tf.layers.block_attention_bias import mask_to_bias
from unilmv2_tf.layers.visibility import step_visibility
from unilmv2_tf.models.decoding_weights import DecodingWeights


class CachedDecoder:
    """Predicts target tokens one by one, from cached keys and values.

    A call runs two tokens through the layers: the last chosen token, whose keys
    and values are kept, and a pseudo mask, which the next token overwrites (Bao
    et al., 2020, section 3.4).

    After `start_beams` all beams of an example share a row of the cache: the
    slots of the source, then of the first token, by beam, and so on. A table
    of ancestors, all that `reorder_beams` changes, lists the slots of a
    hypothesis. Queries are the last tokens of the beams, then their pseudo
    masks. Samplers that do not call it have a row for each sample.
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
        # Slot 0 is unused: there is no token before the first.
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
        """The cache of an empty target: `keys` and `values` by layer, of shape
        `(rows, num_heads, slots / num_beams, num_beams * head_dim)`.
        """
        return {
            "keys": tuple(self._with_room(x) for x in self.source_keys),
            "values": tuple(self._with_room(x) for x in self.source_values),
        }

    def start_beams(self, cache, num_beams):
        """A cache with room for the beams of each example, and `ancestors`."""
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
        return {**self.initial_cache(), "ancestors": ancestors}

    def reorder_beams(self, cache, samples):
        """Continues each sample from the sample given in `samples`."""
        ancestors = ops.take(cache["ancestors"], samples, axis=0)
        return {**cache, "ancestors": ancestors}

    def __call__(self, target_ids, cache, index):
        """Predicts the token at `index` of every sample.

        `target_ids` has the shape `(samples, max_length)`. Returns logits
        `(samples, vocabulary_size)`, hidden states and the cache.
        """
        if "ancestors" in cache:
            # Each beam writes to, and reads from, its own slot.
            is_new = ops.arange(self.num_slots, dtype="int32") >= index
            ancestors = ops.where(is_new, self._own_beam(), cache["ancestors"])
            cache = {**cache, "ancestors": ancestors}
        hidden_states = self._embed(target_ids, index)
        bias = self._attention_bias(cache, index)
        slices = self._slices_to_write(cache["keys"][0], index)
        hidden_states, cache = self._run_layers(
            hidden_states, cache, bias, slices
        )
        hidden_dim = hidden_states.shape[-1]
        hidden_states = ops.reshape(
            hidden_states[:, self.num_beams :], (-1, hidden_dim)
        )
        return self._weights.vocabulary(hidden_states), hidden_states, cache

    def _with_room(self, x):
        batch_size, num_heads, length, head_dim = ops.shape(x)
        room = self.num_source_slots - length + self.num_slots * self.num_beams
        room = ops.zeros((batch_size, num_heads, room, head_dim), x.dtype)
        x = ops.concatenate([x, room], axis=2)
        width = self.num_beams * head_dim
        return ops.reshape(x, (batch_size, num_heads, -1, width))

    def _own_beam(self):
        """The beam of each sample, of shape `(samples, 1)`."""
        batch_size = ops.shape(self.source_length)[0]
        beams = ops.arange(self.num_beams, dtype="int32")
        return ops.tile(beams[:, None], (batch_size, 1))

    def _embed(self, target_ids, index):
        last = ops.take(target_ids, ops.maximum(index - 1, 0)[None], axis=1)
        last = ops.reshape(last, (-1, self.num_beams))
        token_ids = ops.concatenate(
            [last, ops.full_like(last, self.task.pseudo_token_id)], axis=1
        )
        positions = ops.repeat(
            self._positions(index)[1], self.num_beams, axis=1
        )
        return self.backbone.embeddings(
            token_ids,
            ops.full_like(token_ids, self.task.target_segment_id),
            position_ids=self._by_row(positions, ops.shape(token_ids)[0]),
        )

    def _positions(self, index):
        """Places of the last token and the pseudo mask in the target, `(2,)`,
        and their positions, `(batch, 2)`.
        """
        places = ops.stack([ops.maximum(index - 1, 0), index])
        return places, self.source_length[:, None] + places

    def _by_row(self, x, num_rows):
        """Repeats `(batch, ...)` for the rows of a sampler."""
        batch_size = ops.shape(self.source_length)[0]
        return ops.repeat(x, num_rows // batch_size, axis=0)

    def _slices_to_write(self, cached, index):
        """The slices of the cache that receive the new keys and values.

        A slice holds the slots of all beams: a few large updates are much
        faster than many small ones.
        """
        num_rows, num_heads, num_slices, _ = ops.shape(cached)
        starts = ops.arange(num_rows * num_heads, dtype="int32") * num_slices
        first = self.num_source_slots // self.num_beams
        tokens = first + index + ops.arange(2, dtype="int32")
        return ops.reshape(starts[:, None] + tokens, (-1,))

    def _attention_bias(self, cache, index):
        """The bias of the scores, `(rows, 1|heads, queries, slots)`."""
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
        """Bias by position: `(batch, 1|heads, 2, n)` for the source, padding
        included, and `(1, 1|heads, 2, slots)` for the target.
        """
        slots = ops.arange(self.num_slots, dtype="int32")
        source = self.source_padding
        relative_bias = self.backbone.relative_position_bias
        if relative_bias is None:
            source = ops.repeat(source, 2, axis=2)
            target = ops.zeros_like(slots, dtype=source.dtype)
            return source, ops.tile(target[None, None, None], (1, 1, 2, 1))
        keys = ops.arange(self.num_source_slots, dtype="int32")[None]
        places, positions = self._positions(index)
        source = source + relative_bias(positions, keys)
        target = relative_bias(places[None], ops.maximum(slots - 1, 0)[None])
        return source, target

    def _target_visibility(self, cache, index):
        """Bias of steps and ancestors, `(rows | 1, 1, queries, slots)`."""
        slots = ops.arange(self.num_slots, dtype="int32")
        query_steps = ops.stack([index, -index - 1])
        # Slot i holds the token of step i. Slot 0 is never visible, the slot
        # after the last token holds the pseudo mask.
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

    def _run_layers(self, hidden_states, cache, bias, slices):
        """All layers, on `(rows, queries, hidden_dim)`."""
        shape = num_rows, num_queries, hidden_dim = ops.shape(hidden_states)
        num_heads = self.backbone.num_heads
        head_dim = hidden_dim // num_heads
        by_head, by_token = self._orders(num_rows, num_queries)
        # TensorFlow fuses bias and activation with products of matrices only.
        hidden_states = ops.reshape(hidden_states, (-1, hidden_dim))
        self._weights.set_num_rows(num_rows * num_queries)
        new_cache = {"keys": [], "values": []}
        for layer, *cached in zip(
            self._weights.layers, cache["keys"], cache["values"]
        ):
            x = ops.reshape(layer.projections(hidden_states), (-1, head_dim))
            query, *new = ops.split(ops.take(x, by_head, axis=0), 3, axis=0)
            query = ops.reshape(
                query * head_dim**-0.5,
                (num_rows, num_heads, num_queries, head_dim),
            )
            cached = [self._write(x, slices, y) for x, y in zip(cached, new)]
            for name, x in zip(new_cache, cached):
                new_cache[name].append(x)
            # A slice of the cache holds the slots of all beams.
            keys, values = (
                ops.reshape(x, (num_rows, num_heads, -1, head_dim))
                for x in cached
            )
            scores = ops.matmul(query, ops.transpose(keys, (0, 1, 3, 2))) + bias
            x = ops.matmul(layer.attention.softmax(scores), values)
            x = ops.take(ops.reshape(x, (-1, head_dim)), by_token, axis=0)
            x = layer.attention_output(ops.reshape(x, (-1, hidden_dim)))
            hidden_states = layer.feed_forward(hidden_states, x)
        new_cache = {name: tuple(x) for name, x in new_cache.items()}
        return ops.reshape(hidden_states, shape), {**cache, **new_cache}

    def _orders(self, num_rows, num_queries):
        """Indices that transpose tokens and heads, and back.

        Gathering whole heads is faster than transposing them.
        """
        num_heads = self.backbone.num_heads
        size = num_rows * num_queries * num_heads

        def order(size, shape, axes):
            indices = ops.reshape(ops.arange(size, dtype="int32"), shape)
            return ops.reshape(ops.transpose(indices, axes), (-1,))

        return (
            order(
                3 * size, (num_rows, num_queries, 3, num_heads), (2, 0, 3, 1)
            ),
            order(size, (num_rows, num_heads, num_queries), (0, 2, 1)),
        )

    def _write(self, cached, slices, new):
        """Writes slices of the last axis, counted over rows, heads, slots."""
        shape = ops.shape(cached)
        flat = ops.reshape(cached, (-1, shape[-1]))
        new = ops.reshape(new, (-1, cached.shape[-1]))
        # XLA and JAX avoid the copy by themselves.
        if self.in_place and keras.backend.backend() == "tensorflow":
            from unilmv2_tf.models.tensorflow_decoding import write_in_place

            flat = write_in_place(flat, slices, new)
        else:
            flat = ops.scatter_update(flat, slices[:, None], new)
        return ops.reshape(flat, shape)
