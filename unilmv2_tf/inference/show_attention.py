def show_attention(
    preset: str,
    text: str,
    target: str | None = None,
    output: str = "attention.png",
    layer: int = -1,
    head: int | None = None,
):
    """Draws what the tokens of a generated text attend to in its source.

    Args:
        preset: The folder of a model that UniLMv2Seq2SeqLM.save_to_preset
            wrote.
        text: The source.
        target: The text whose tokens are shown. Without it, the one that the
            model generates.
        output: The picture to write (PNG).
        layer: The Transformer layer; negative ones count from the last.
        head: The attention head. Without it, the mean of all.

    Raises:
        ValueError: if the preset holds another model, or there is no such
            layer or head.

    Example:

    ```python
    show_attention("run/preset", "The quick brown fox jumped.")
    ```

    Reference:
        Bao et al., 2020, section 3.4.
    """
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.inference.generate import load_generator
    from unilmv2_tf.plots import plot_attention

    model = load_generator(preset)
    figure = plot_attention(model, text, target, layer, head, path=output)
    tokens = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    print(" ".join(tokens))
    print(f"written to {output}")
