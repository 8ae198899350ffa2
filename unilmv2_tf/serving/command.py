from typing import Literal


def export(
    preset: str,
    output: str = "exported",
    version: int | None = None,
    signatures: list[
        Literal["generate", "classify", "answer", "encode", "fill"]
    ]
    | None = None,
    format: Literal["saved_model", "litert"] = "saved_model",
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    quantize: Literal["int8"] | None = None,
    text_signatures: bool = True,
    buckets: list[int] | None = None,
    max_length: int | None = None,
    sampler: Literal["beam", "greedy", "random", "top_k", "top_p"]
    | None = None,
    num_beams: int | None = None,
    length_penalty: float | None = None,
    min_length: int | None = None,
    no_repeat_ngram_size: int | None = None,
    n_best: int | None = None,
    pairs: bool = False,
    max_answer_length: int | None = None,
    pooling: Literal["mean", "cls"] | None = None,
    num_candidates: int | None = None,
    warm_up: bool | None = None,
    check: bool = True,
):
    """Writes a fine-tuned model as a SavedModel for TensorFlow Serving.

    The version appears in OUTPUT whole or not at all, after it was tried in a
    process without this package. What is not set is as in the preset.

    Args:
        preset: The folder of a fine-tuned model.
        output: The folder of the versions, usually the name of the model.
        version: The number of the version. Without it, the next one.
        signatures: What the model is to do, the main thing first: generate,
            classify, answer or fill, as its task is, and encode; a
            sequence-to-sequence model can fill, too. Without it, the task.
        format: saved_model, or litert for devices (classify and encode, from
            integers).
        dtype: What weights are stored and computed in.
        quantize: int8 makes the weights of the backbone a quarter as large.
        text_signatures: Whether there are signatures that take strings. They
            need TensorFlow Text on the server.
        buckets: The widths that rows are computed at, for example [32,128].
            Without it, powers of two; [] pads all rows to the full length.
        max_length: The most tokens of a generated text, its end included.
        sampler: How tokens are chosen.
        num_beams: Beams of a beam search.
        length_penalty: Above 0 longer texts score higher in a beam search.
        min_length: The fewest tokens of a text, in a beam search.
        no_repeat_ngram_size: No n tokens occur twice in a text, in a beam
            search.
        n_best: How many texts or answers there are for each input.
        pairs: Whether a classifier's main signature takes pairs of texts.
        max_answer_length: The longest answer in tokens.
        pooling: What the vector of a text is, the mean of its tokens or cls.
        num_candidates: How many words there are for each gap.
        warm_up: Whether to write requests that warm a server up. Without it,
            if tensorflow-serving-api is installed.
        check: Whether to try the export before it appears.

    Raises:
        ValueError: if a setting is out of range, or the preset holds no such
            model.

    Example:

    ```python
    export("run/preset", "models/summarizer", num_beams=4)
    ```
    """
    values = dict(locals())
    # TensorFlow takes seconds to import, help should not.
    from unilmv2_tf.serving.lite import export_lite
    from unilmv2_tf.serving.loading import load_endpoints
    from unilmv2_tf.serving.saved_model import export_model

    if format == "litert":
        published = _export_checked(
            export_lite,
            load_endpoints(preset, signatures, settings=values),
            output,
            version,
            quantize or (None if dtype == "float32" else dtype),
        )
    else:
        published = _export_checked(
            export_model,
            load_endpoints(preset, signatures, dtype, quantize, values),
            output,
            version=version,
            text_signatures=text_signatures,
            check=check,
            warm_up=warm_up,
            verbose=True,
        )
    print(f"written to {published}")


def check_export(folder: str, seconds: float = 1.0, output: str | None = None):
    """Tries an export in a process that has TensorFlow and nothing of ours.

    Every signature is run on ordinary and hostile texts, alone and in batches,
    compared with what the live model answered, and timed.

    Args:
        folder: A SavedModel, or the folder above its versions, of which the
            newest is checked.
        seconds: How long each signature is timed at each batch size.
        output: The folder for report.md and report.json. Without it,
            assets.extra of the SavedModel.

    Raises:
        ValueError: if the export does not do what it should.

    Example:

    ```python
    check_export("models/summarizer")
    ```
    """
    import os

    from unilmv2_tf.serving.checking import check_export
    from unilmv2_tf.serving.versions import newest_version

    report = _export_checked(check_export, folder, seconds, output)
    for name, found in report["signatures"].items():
        times = ", ".join(
            f"batch {size}: {times['p50']:.1f} / {times['p95']:.1f} ms"
            for size, times in found["milliseconds"].items()
        )
        compared = "equal to live" if found["is_compared"] else "runs"
        print(f"{name}: {compared}" + (f"; {times}" if times else ""))
    written = output or os.path.join(newest_version(folder), "assets.extra")
    print(f"report written to {os.path.join(written, 'report.md')}")


def _export_checked(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except RuntimeError as error:
        # The command line answers mistakes in one line, and this is one.
        raise ValueError(str(error)) from error
