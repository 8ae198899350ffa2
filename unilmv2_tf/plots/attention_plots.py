"""The attention of target tokens to their source."""

from keras import ops

from unilmv2_tf.models.seq_2_seq_lm import target_attention
from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import new_figure
from unilmv2_tf.plots.figures import save_figure

_CELL_INCHES = 0.3
# Cells are smaller in pictures that would exceed it.
_MAX_INCHES = 24.0


def plot_attention(
    model,
    source: str,
    target: str | None = None,
    layer: int = -1,
    head: int | None = None,
    path=None,
    title: str | None = None,
):
    """Draws the attention of the tokens of a target to the source.

    These are the attention probabilities of the pass in which each token is
    predicted at its pseudo mask. The number beside a row is the rest of its
    attention, to the target tokens before it and the pseudo mask itself.

    Args:
        model: A `UniLMv2Seq2SeqLM` with a preprocessor.
        source: string. Truncated to the model's row length.
        target: string. Defaults to `None`, the text that the model generates.
        layer: int. The Transformer layer; negative ones count from the last.
            Defaults to `-1`.
        head: int. The attention head. Defaults to `None`, the mean of all.
        path: string or path. The picture file. Defaults to `None`.
        title: string. Defaults to `None`, layer and head.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has no preprocessor, or no such layer or head.

    Example:

    >>> from unilmv2_tf import UniLMv2Seq2SeqLM, UniLMv2Seq2SeqLMPreprocessor
    >>> from unilmv2_tf import UniLMv2Tokenizer
    >>> from unilmv2_tf.plots import plot_attention
    >>> tokenizer = UniLMv2Tokenizer(
    ...     ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox"])
    >>> model = UniLMv2Seq2SeqLM.from_preset(
    ...     "unilmv2_tiny", load_weights=False, vocabulary_size=7,
    ...     preprocessor=UniLMv2Seq2SeqLMPreprocessor(tokenizer, 16, 8))
    >>> figure = plot_attention(model, "the fox", target="fox")
    >>> figure.axes[0].images[0].get_array().shape
    (2, 4)
    """
    if model.preprocessor is None:
        raise ValueError(
            "`model` must have a preprocessor, to tokenize texts. "
            "Received: model.preprocessor=None. Integers go to "
            "`unilmv2_tf.models.seq_2_seq_lm.target_attention`."
        )
    source_ids, target_ids = _token_ids(model, source, target)
    probabilities = ops.convert_to_numpy(
        ops.cast(
            target_attention(model, source_ids, target_ids, layer), "float32"
        )
    )
    num_heads = len(probabilities)
    if head is not None and not 0 <= head < num_heads:
        raise ValueError(
            f"`head` must be in [0, {num_heads}), the heads of a layer. "
            f"Received: head={head}"
        )
    if title is None:
        number = layer % model.backbone.num_layers
        heads = f"mean of {num_heads} heads" if head is None else f"head {head}"
        title = f"Attention to the source: layer {number}, {heads}"
    shown = probabilities.mean(axis=0) if head is None else probabilities[head]
    tokenizer = model.preprocessor.tokenizer
    figure = _draw(
        shown[:, : len(source_ids)],
        [tokenizer.id_to_token(i) for i in source_ids],
        [tokenizer.id_to_token(i) for i in target_ids],
        title,
    )
    save_figure(figure, path)
    return figure


def _token_ids(model, source, target):
    """The ids of source and target, without padding, `[SEP]` included."""
    preprocessor = model.preprocessor
    if target is not None:
        x, labels, _ = preprocessor(
            {"encoder_text": [source], "decoder_text": [target]}
        )
        x = {**x, "decoder_token_ids": labels}
    else:
        x = preprocessor.generate_preprocess([source])
        stop_token_ids = (preprocessor.tokenizer.end_token_id,)
        x = {**x, **model.generate_step(x, stop_token_ids=stop_token_ids)}
    x = {name: ops.convert_to_numpy(x[name]) for name in x}
    # The first of several sequences is the best.
    length = x["decoder_token_ids"].shape[-1]
    target_ids = x["decoder_token_ids"].reshape(-1, length)[0]
    is_target = x["decoder_padding_mask"].reshape(-1, length)[0].astype(bool)
    is_source = x["encoder_padding_mask"][0].astype(bool)
    return (
        x["encoder_token_ids"][0][is_source].tolist(),
        target_ids[is_target].tolist(),
    )


def _draw(probabilities, columns, rows, title):
    cell = min(_CELL_INCHES, _MAX_INCHES / max(len(columns), len(rows)))
    font_size = min(9.0, 60 * cell)
    letter = 0.0095 * font_size
    beside = letter * max(map(len, rows)) + 2.2
    below = letter * max(map(len, columns)) + 1.1
    width = max(cell * len(columns) + beside, 0.1 * len(title) + 0.5)
    height = max(cell * len(rows), 2 * _CELL_INCHES) + below
    figure = new_figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        probabilities, cmap="Blues", vmin=0, aspect="auto", interpolation="none"
    )
    # A dollar sign in a text starts no formula.
    style = {"color": TEXT_COLOR, "parse_math": False, "fontsize": font_size}
    axes.set_xticks(range(len(columns)), columns, rotation=90, **style)
    axes.set_yticks(range(len(rows)), rows, **style)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    style = {"textcoords": "offset points", "color": QUIET_COLOR}
    for row, share in enumerate(1 - probabilities.sum(axis=1)):
        axes.annotate(
            f"{max(share, 0):.0%}",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            va="center",
            fontsize=font_size,
            **style,
        )
    axes.annotate(
        "to the target",
        (1, 1),
        xycoords="axes fraction",
        xytext=(4, 4),
        fontsize=8,
        **style,
    )
    figure.colorbar(image, ax=axes, pad=0.02)
    style = {"fontweight": "bold", "fontsize": 10, "parse_math": False}
    axes.set_title(title, loc="left", pad=18, **style)
    return figure
