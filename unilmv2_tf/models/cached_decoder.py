from keras import ops

from unilmv2_tf.layers import mask_to_bias
from unilmv2_tf.layers import step_visibility


class CachedDecoder:
    """Predicts target tokens one by one, from cached keys and values.

    Decoding is the pseudo-mask rule again: the next token is predicted at a
    pseudo mask that sees the source and all target tokens so far. A call
    therefore runs two tokens through the layers: the one that was chosen last,
    whose keys and values are kept, and a pseudo mask, which leaves no trace.

    The source is encoded once and kept once per example. However many beams a
    sampler makes of an example, they share it: they are folded into the query
    axis of the attention to the source.

    The layout is that of KerasHub's samplers: what changes from step to step
    is in `cache`, with the samples on the first axis, so that a sampler may
    repeat and reorder them.

    Args:
        task: a `UniLMv2Seq2SeqLM`.
        token_ids: int tensor of shape `(batch, n)`, the source.
        padding_mask: int tensor of shape `(batch, n)`, 0 on padding.
        max_length: int. The longest target.

    Reference:
        Bao et al., 2020, section 3.4.
    """

    def __init__(self, task, token_ids, padding_mask, max_length):
        self.task = task
        self.backbone = task.backbone
        self.max_length = max_length
        self.source_length = ops.sum(ops.cast(padding_mask, "int32"), axis=1)
        hidden_states = self.backbone.embeddings(
            token_ids, ops.full_like(token_ids, task.source_segment_id)
        )
        bias = self.backbone.attention_bias(padding_mask)
        self.context_padding = bias["context_padding"]
        self.source_keys, self.source_values = [], []
        for layer in self.backbone.transformer_layers:
            hidden_states, keys, values = layer.call_with_keys(
                hidden_states, bias
            )
            self.source_keys.append(ops.transpose(keys, (0, 1, 3, 2)))
            self.source_values.append(values)

    def initial_cache(self):
        """Returns the empty cache of the target: keys and values by layer."""
        batch_size, num_heads, head_dim, _ = ops.shape(self.source_keys[0])
        empty = ops.zeros(
            (batch_size, num_heads, self.max_length, head_dim),
            dtype=self.source_keys[0].dtype,
        )
        return tuple((empty, empty) for _ in self.source_keys)

    def __call__(self, target_ids, cache, index):
        """Predicts the token at `index` of every sample.

        Args:
            target_ids: int tensor of shape `(samples, max_length)`, known
                before `index`. `samples` is a multiple of the batch size.
            cache: what `initial_cache` or the call before returned, with
                `samples` on the first axis.
            index: scalar int tensor.

        Returns:
            A tuple of the logits `(samples, vocabulary_size)`, the hidden
            states `(samples, hidden_dim)` and the cache.
        """
        previous = ops.maximum(index - 1, 0)
        token_ids = ops.take(target_ids, previous[None], axis=1)
        token_ids = ops.concatenate(
            [token_ids, ops.full_like(token_ids, self.task.pseudo_token_id)],
            axis=1,
        )
        source_bias, target_bias = self._attention_bias(index)
        hidden_states = self.backbone.embeddings(
            token_ids,
            ops.full_like(token_ids, self.task.target_segment_id),
            position_ids=self._position_ids(token_ids, index),
        )
        is_previous = (ops.arange(self.max_length) == index - 1)[:, None]
        next_cache = []
        for i, layer in enumerate(self.backbone.transformer_layers):
            hidden_states, layer_cache = self._layer_step(
                i, layer, hidden_states, cache[i], is_previous,
                source_bias, target_bias,
            )  # fmt: skip
            next_cache.append(layer_cache)
        hidden_states = hidden_states[:, 1]
        logits = self.task.language_model_head(hidden_states[:, None])
        return logits[:, 0], hidden_states, tuple(next_cache)

    def _two_positions(self, index):
        """Slots of the last chosen token and of the pseudo mask."""
        return ops.stack([ops.maximum(index - 1, 0), index])

    def _position_ids(self, token_ids, index):
        batch_size = ops.shape(self.source_length)[0]
        positions = self.source_length[:, None] + self._two_positions(index)
        by_example = ops.reshape(token_ids, (batch_size, -1, 2))
        zeros = ops.zeros_like(by_example, dtype=positions.dtype)
        positions = zeros + positions[:, None, :]
        return ops.reshape(positions, (-1, 2))

    def _attention_bias(self, index):
        """Biases to the source `(batch, 1|heads, 2, n)` and to the target
        `(1, 1|heads, 2, max_length + 1)`, whose last key is the pseudo mask.
        """
        slots = ops.arange(self.max_length, dtype="int32")
        query_steps = ops.stack([index, -index - 1])
        key_steps = ops.concatenate([slots + 1, query_steps[1:]], axis=0)
        visible = step_visibility(query_steps, key_steps)
        target_bias = mask_to_bias(visible, self.context_padding.dtype)
        source_bias = self.context_padding
        relative_bias = self.backbone.relative_position_bias
        if relative_bias is not None:
            queries = self._two_positions(index)
            keys = ops.concatenate([slots, queries[1:]], axis=0)
            target_bias = target_bias + relative_bias(queries[None], keys[None])
            source_length = (
                self.context_padding.shape[-1]
                or (ops.shape(self.context_padding)[-1])
            )
            source_bias = source_bias + relative_bias(
                self.source_length[:, None] + queries,
                ops.arange(source_length, dtype="int32")[None],
            )
        else:
            target_bias = target_bias[None, None]
        return source_bias, target_bias

    def _layer_step(
        self,
        layer_index,
        layer,
        hidden_states,
        cache,
        is_previous,
        source_bias,
        target_bias,
    ):
        attention = layer.self_attention
        query, key, value = attention.project(hidden_states)
        cached_keys, cached_values = cache
        cached_keys = ops.where(is_previous, key[:, :, :1], cached_keys)
        cached_values = ops.where(is_previous, value[:, :, :1], cached_values)

        target_scores = ops.concatenate(
            [
                ops.matmul(query, ops.transpose(cached_keys, (0, 1, 3, 2))),
                ops.matmul(query, ops.transpose(key[:, :, 1:], (0, 1, 3, 2))),
            ],
            axis=-1,
        )
        source_scores = ops.matmul(
            self._fold_beams(query), self.source_keys[layer_index]
        )
        scores = ops.concatenate(
            [
                self._unfold_beams(source_scores, source_bias),
                target_scores + target_bias,
            ],
            axis=-1,
        )
        probabilities = attention.softmax(scores)
        split = scores.shape[-1] or ops.shape(scores)[-1]
        split = split - self.max_length - 1
        from_source = ops.matmul(
            self._fold_beams(probabilities[..., :split]),
            self.source_values[layer_index],
        )
        from_target = ops.matmul(
            probabilities[..., split:-1], cached_values
        ) + ops.matmul(probabilities[..., -1:], value[:, :, 1:])
        output = attention.merge_heads(
            self._unfold_beams(from_source) + from_target
        )
        hidden_states = layer.feed_forward(hidden_states, output)
        return hidden_states, (cached_keys, cached_values)

    def _fold_beams(self, x):
        """`(batch * beams, heads, 2, d)` to `(batch, heads, beams * 2, d)`."""
        batch_size = ops.shape(self.source_length)[0]
        _, num_heads, _, depth = ops.shape(x)
        x = ops.reshape(x, (batch_size, -1, num_heads, 2, depth))
        x = ops.transpose(x, (0, 2, 1, 3, 4))
        return ops.reshape(x, (batch_size, num_heads, -1, depth))

    def _unfold_beams(self, x, bias=None):
        """The reverse; adds a bias `(batch, 1|heads, 2|1, d)` on the way."""
        batch_size, num_heads, _, depth = ops.shape(x)
        x = ops.reshape(x, (batch_size, num_heads, -1, 2, depth))
        if bias is not None:
            x = x + ops.expand_dims(bias, axis=2)
        x = ops.transpose(x, (0, 2, 1, 3, 4))
        return ops.reshape(x, (-1, num_heads, 2, depth))
