"""What generated tokens attend to."""

from keras import ops

from unilmv2_tf.models.target_attention import target_attention
from unilmv2_tf.plots.figures import QUIET_COLOR
from unilmv2_tf.plots.figures import TEXT_COLOR
from unilmv2_tf.plots.figures import save_figure

_CELL_INCHES = 0.3
# Cells get smaller where a picture would be larger.
_MAX_INCHES = 24.0


def plot_attention(
    model, source, target=None, layer=-1, head=None, path=None, title=None
):
    """Draws what the tokens of a target attend to in the source.

    These are the model's own attention probabilities, of the pass in which each
    token is predicted at its pseudo mask. What a row lacks to 1 is attention
    to the target itself, the tokens before and the pseudo mask: the number
    behind the row.

    Args:
        model: a `UniLMv2Seq2SeqLM` with a preprocessor.
        source: string. What doesn't fit in the model's rows is cut.
        target: string. Defaults to `None`: it is generated.
        layer: int. The Transformer layer; negative ones count from the last.
            Defaults to `-1`.
        head: int. The attention head. Defaults to `None`, the mean of all.
        path: str or path. A file to write the picture to, PNG unless its name
            ends otherwise. Defaults to `None`.
        title: string. Defaults to `None`, layer and head.

    Returns:
        A `matplotlib.figure.Figure`, whose first image holds a row for each
        target token and a column for each source token.

    Raises:
        ValueError: if the model takes no text, or there is no such layer or
            head.

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
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['[CLS]', 'the', 'fox', '[SEP]']
    >>> figure.axes[0].images[0].get_array().shape
    (2, 4)

    Reference:
        Bao et al., 2020, section 3.4; Vaswani et al., 2017.
    """
    if model.preprocessor is None:
        raise ValueError(
            "`model` must have a preprocessor, which takes texts apart. "
            "Received: model.preprocessor=None. Integers go to "
            "`unilmv2_tf.models.target_attention`."
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
    """The ids of both without padding, the target with its `[SEP]`."""
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
    # Of several sequences the best.
    length = x["decoder_token_ids"].shape[-1]
    target_ids = x["decoder_token_ids"].reshape(-1, length)[0]
    is_target = x["decoder_padding_mask"].reshape(-1, length)[0].astype(bool)
    is_source = x["encoder_padding_mask"][0].astype(bool)
    return (
        x["encoder_token_ids"][0][is_source].tolist(),
        target_ids[is_target].tolist(),
    )


def _draw(probabilities, columns, rows, title):
    from matplotlib.figure import Figure

    cell = min(_CELL_INCHES, _MAX_INCHES / max(len(columns), len(rows)))
    font_size = min(9.0, 60 * cell)
    letter = 0.0095 * font_size
    beside = letter * max(map(len, rows)) + 2.2
    below = letter * max(map(len, columns)) + 1.1
    figure = Figure(
        figsize=(
            max(cell * len(columns) + beside, 0.1 * len(title) + 0.5),
            max(cell * len(rows), 2 * _CELL_INCHES) + below,
        ),
        dpi=150,
        layout="constrained",
    )
    axes = figure.add_subplot()
    image = axes.imshow(
        probabilities, cmap="Blues", vmin=0, aspect="auto", interpolation="none"
    )
    # A dollar sign in a text begins no formula.
    style = {"color": TEXT_COLOR, "parse_math": False, "fontsize": font_size}
    axes.set_xticks(range(len(columns)), columns, rotation=90, **style)
    axes.set_yticks(range(len(rows)), rows, **style)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _write_shares(axes, 1 - probabilities.sum(axis=1), font_size)
    figure.colorbar(image, ax=axes, pad=0.02)
    axes.set_title(
        title,
        loc="left",
        pad=18,
        fontweight="bold",
        fontsize=10,
        parse_math=False,
    )
    return figure


def _write_shares(axes, shares, font_size):
    """The rest of each row behind it, under a heading."""
    for row, share in enumerate(shares):
        axes.annotate(
            f"{max(share, 0):.0%}",
            (1, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=QUIET_COLOR,
            fontsize=font_size,
        )
    axes.annotate(
        "to the target",
        (1, 1),
        xycoords="axes fraction",
        xytext=(4, 4),
        textcoords="offset points",
        color=QUIET_COLOR,
        fontsize=8,
    )
