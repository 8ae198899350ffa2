"""The command `unilmv2 show-attention`."""


def show_attention(
    preset: str,
    text: str,
    target: str | None = None,
    output: str = "attention.png",
    layer: int = -1,
    head: int | None = None,
):
    """Draws the attention of a generated text to its source.

    Args:
        preset: Preset folder of a UniLMv2Seq2SeqLM.
        text: Source.
        target: Text whose tokens are shown. By default the model generates it.
        output: Picture to write (PNG).
        layer: Index of the transformer layer; negative ones count from the
            last.
        head: Index of the attention head. By default the mean of all heads.

    Raises:
        ValueError: if the preset holds another model, or there is no such
            layer or head.

    Example:

    ```python
    show_attention("run/preset", "The quick brown fox jumped.")
    ```
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.inference.generate import load_generator
    from unilmv2_tf.plots import plot_attention

    model = load_generator(preset)
    figure = plot_attention(model, text, target, layer, head, path=output)
    tokens = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    print(" ".join(tokens))
    print(f"written to {output}")
