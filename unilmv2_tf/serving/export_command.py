"""The commands `unilmv2 export` and `unilmv2 check-export`."""

import dataclasses
import inspect
import os
from typing import Literal

from unilmv2_tf.samplers.sampler_args import PRESET_SAMPLER
from unilmv2_tf.samplers.sampler_args import SamplerArgs


def export(
    preset: str,
    output: str = "exported",
    version: int | None = None,
    signatures: list[str] | None = None,
    format: Literal["saved_model", "litert"] = "saved_model",
    dtype: Literal["float32", "bfloat16", "float16"] | None = None,
    quantize: Literal["int8"] | None = None,
    text_signatures: bool = True,
    buckets: list[int] | None = None,
    max_length: int | None = None,
    pairs: bool = False,
    n_best: int | None = None,
    max_answer_length: int | None = None,
    pooling: Literal["mean", "cls"] | None = None,
    num_candidates: int | None = None,
    special_tokens_in_strings: bool | None = None,
    warm_up: bool | None = None,
    check: bool = True,
    sampler_args: SamplerArgs = PRESET_SAMPLER,
):
    """Exports a fine-tuned model as a SavedModel for TensorFlow Serving.

    Args:
        preset: Preset folder of a fine-tuned model.
        output: Folder of the versions, usually named as the model.
        version: Number of the version. Defaults to the next one.
        signatures: Signatures of the model, the server's default first:
            generate, classify, answer or fill, as its task is, and encode.
            Defaults to that of its task.
        format: saved_model, or litert for devices (classify and encode, from
            integers).
        dtype: Data type of the weights and the computation. Defaults to that of
            the preset.
        quantize: int8 makes the weights of the backbone a quarter as large.
        text_signatures: Write signatures that take strings. They need
            TensorFlow Text on the server.
        buckets: Widths that rows are computed at, for example [32,128].
            Defaults to powers of two; [] pads all rows to the full length.
        max_length: Maximum length of a generated text in tokens, its end token
            included.
        pairs: Make the signature for pairs of texts a classifier's default.
        n_best: Number of answers to each question.
        max_answer_length: Maximum length of an answer in tokens.
        pooling: Vector of a text in encode: the mean of its tokens, or cls.
        num_candidates: Number of words for each gap in fill.
        special_tokens_in_strings: Whether special tokens such as [SEP] in
            texts are single tokens. Defaults to what the preset says.
        warm_up: Write requests that warm a server up. Defaults to true if
            tensorflow-serving-api is installed.
        check: Check the export in a clean process before it appears.
        sampler_args: Options of the sampler of generate.

    Raises:
        ValueError: if an option is out of range, or the preset cannot have a
            signature.
    """
    # TensorFlow takes seconds to import, and help should appear at once.
    from unilmv2_tf.serving.litert import export_litert
    from unilmv2_tf.serving.saved_model import export_model

    is_litert = format == "litert"
    endpoints = load_endpoints(
        preset,
        signatures,
        # LiteRT stores the weights of a float32 model in another type.
        None if is_litert else dtype,
        None if is_litert else quantize,
        sampler_args,
        special_tokens_in_strings,
        buckets=buckets,
        max_length=max_length,
        pairs=pairs or None,
        n_best=n_best,
        max_answer_length=max_answer_length,
        pooling=pooling,
        num_candidates=num_candidates,
    )
    try:
        if is_litert:
            stored = quantize or (None if dtype == "float32" else dtype)
            published = export_litert(endpoints, output, version, stored)
        else:
            published = export_model(
                endpoints,
                output,
                version=version,
                text_signatures=text_signatures,
                check=check,
                warm_up=warm_up,
                verbose=True,
            )
    except RuntimeError as error:
        # The command line shows a ValueError in one line.
        raise ValueError(str(error)) from error
    print(f"written to {published}")


def check_export(folder: str, seconds: float = 1.0, output: str | None = None):
    """Checks an export in a process that has TensorFlow and nothing of ours.

    Args:
        folder: A SavedModel, or the folder above its versions, of which the
            newest is checked.
        seconds: Seconds that each signature is timed at each batch size.
        output: Folder for report.json. Defaults to assets.extra of the
            SavedModel.

    Raises:
        ValueError: if the check fails.
    """
    from unilmv2_tf.serving import check_export
    from unilmv2_tf.serving.server_folder import newest_version

    try:
        report = check_export(folder, seconds, output)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    for name, found in report["signatures"].items():
        times = ", ".join(
            f"batch {size}: {times['p50']:.1f} / {times['p95']:.1f} ms"
            for size, times in found["milliseconds"].items()
        )
        compared = "equal to live" if found["is_compared"] else "runs"
        print(f"{name}: {compared}" + (f"; {times}" if times else ""))
    written = output or os.path.join(newest_version(folder), "assets.extra")
    print(f"report written to {os.path.join(written, 'report.json')}")


def load_endpoints(
    preset,
    names=None,
    dtype=None,
    quantize=None,
    sampler_args=PRESET_SAMPLER,
    special_tokens_in_strings=None,
    **options,
):
    """Loads a preset and makes its endpoints, by name, the default first.

    `options` are arguments of the endpoints, `None` where they are not set.
    """
    from unilmv2_tf.models.task import load_task
    from unilmv2_tf.serving.endpoint import endpoints_of

    task = load_task(
        preset,
        special_tokens_in_strings,
        **({} if dtype is None else {"dtype": dtype}),
    )
    possible = endpoints_of(task)
    names = list(names or [next(iter(possible))])
    for name in names:
        if name not in possible:
            raise ValueError(
                f"`signatures` of a {type(task).__name__} must be among "
                f"{', '.join(possible)}. Received: {name}, for preset={preset}"
            )
    options = {name: x for name, x in options.items() if x is not None}
    sampler = dataclasses.asdict(sampler_args)
    sampler = {name: x for name, x in sampler.items() if x is not None}
    accepted = {
        name: inspect.signature(possible[name]).parameters for name in names
    }
    for option, value in {**options, **sampler}.items():
        argument = "sampler" if option in sampler else option
        if not any(argument in arguments for arguments in accepted.values()):
            raise ValueError(
                f"`{option}` is not an option of {', '.join(names)}. Received: "
                f"{option}={value}. Leave it out, or name a signature that has "
                "it."
            )
    if "buckets" in options:
        buckets = list(options["buckets"])
        if sorted(set(buckets)) != buckets or min(buckets, default=1) < 1:
            raise ValueError(
                "`buckets` must be positive and increasing. Received: "
                f"buckets={buckets}"
            )
        options["buckets"] = tuple(buckets) or None
    if sampler:
        options["sampler"] = sampler_args.make_sampler(
            task.sampler, task.preprocessor.tokenizer
        )
    if quantize:
        task.backbone.quantize(quantize)
    return [
        possible[name](
            task, **{k: x for k, x in options.items() if k in accepted[name]}
        )
        for name in names
    ]
