from keras import ops


def target_attention(task, source_token_ids, target_token_ids, layer=-1):
    """What the tokens of a target attended to when they were predicted.

    The pass of fine-tuning, with the target as it is: a token is predicted at
    a pseudo mask that sees the source, the target tokens before it, and
    itself. Its attention falls on keys in this order:

        source (n)   target (m)   pseudo masks (m)

    Args:
        task: a `UniLMv2Seq2SeqLM` with a `pseudo_token_id`.
        source_token_ids: list of n ids, special tokens included.
        target_token_ids: list of m ids, such as `generate()` gives them.
        layer: int. The Transformer layer; negative ones count from the last.
            Defaults to `-1`.

    Returns:
        A float tensor of shape `(num_heads, m, n + 2m)` that sums to 1 over
        its last axis.

    Raises:
        ValueError: if there is no such layer, or no token.

    Example:

    >>> from unilmv2_tf import UniLMv2Backbone, UniLMv2Seq2SeqLM
    >>> task = UniLMv2Seq2SeqLM(
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False, vocabulary_size=99),
    ...     pseudo_token_id=4)
    >>> tuple(target_attention(task, [2, 7, 8, 3], [8, 3]).shape)
    (2, 2, 8)

    Reference:
        Bao et al., 2020, sections 3.2 and 3.4.
    """
    layers = task.backbone.transformer_layers
    if not -len(layers) <= layer < len(layers):
        raise ValueError(
            f"`layer` must be in [{-len(layers)}, {len(layers)}), the layers "
            f"of the backbone. Received: layer={layer}"
        )
    if not len(source_token_ids) or not len(target_token_ids):
        raise ValueError(
            "Source and target must have at least one token each. Received: "
            f"{len(source_token_ids)} and {len(target_token_ids)} tokens"
        )
    source = ops.convert_to_tensor([source_token_ids], dtype="int32")
    target = ops.convert_to_tensor([target_token_ids], dtype="int32")
    slots = ops.arange(len(target_token_ids), dtype="int32")[None]
    hidden_states, bias = task.backbone.embed_blocks(
        token_ids=source,
        segment_ids=ops.full_like(source, task.source_segment_id),
        padding_mask=ops.ones_like(source),
        revealed_token_ids=target,
        pseudo_token_ids=ops.full_like(target, task.pseudo_token_id),
        target_segment_ids=ops.full_like(target, task.target_segment_id),
        target_positions=len(source_token_ids) + slots,
        steps=slots + 1,
    )
    for before in layers[: layer % len(layers)]:
        hidden_states = before(hidden_states, bias)
    attention = layers[layer].self_attention
    return attention.probabilities(hidden_states, bias)[-1][0]
