"""Presets, loaded as they are to be exported."""

from unilmv2_tf.models.task import load_task
from unilmv2_tf.samplers import SamplerArgs
from unilmv2_tf.serving.endpoints import endpoints_of

# Which settings go where: of a flag to an argument of an endpoint.
_ARGUMENTS = {
    "generate": {"max_length": "max_length"},
    "classify": {"pairs": "pairs"},
    "answer": {"n_best": "n_best", "max_answer_length": "max_answer_length"},
    "encode": {"pooling": "pooling"},
    "fill": {"num_candidates": "num_candidates"},
}
_SAMPLER_OPTIONS = {
    "num_beams": "num_beams",
    "length_penalty": "length_penalty",
    "min_length": "min_length",
    "no_repeat_ngram_size": "no_repeat_ngram_size",
    "n_best": "num_return_sequences",
}


def load_endpoints(preset, names=None, dtype=None, quantize=None, settings=()):
    """Loads a preset and makes endpoints of it.

    Args:
        preset: string. The folder of a task that `save_to_preset` wrote.
        names: list of endpoints' names, the main one first. Defaults to
            `None`: the main one of the task alone.
        dtype: `"float32"`, `"bfloat16"` or `"float16"`: what weights are
            stored and computed in. Defaults to `None`, that of the preset.
        quantize: `"int8"`, for the dense layers and embeddings of the
            backbone, or `None`. Defaults to `None`.
        settings: dict. Arguments of the endpoints and of the sampler, as
            `unilmv2 export` names them; `None` and False are not set.
            Defaults to none.

    Returns:
        A list of endpoints on one task.

    Raises:
        ValueError: if the preset holds no task, or one that has no such
            endpoint, or a setting has nothing to set.

    Example:

    >>> load_endpoints("no/such/folder")
    Traceback (most recent call last):
    ...
    ValueError: `preset` must be the folder of a fine-tuned model. Received: ...
    """
    settings = {
        name: value
        for name, value in dict(settings).items()
        if value is not None and value is not False
    }
    task = load_task(preset, **({} if dtype is None else {"dtype": dtype}))
    possible = endpoints_of(task)
    names = list(names or [next(iter(possible))])
    for name in names:
        if name not in possible:
            raise ValueError(
                f"`signatures` of a {type(task).__name__} must be among "
                f"{', '.join(possible)}. Received: {name}, for preset={preset}"
            )
    _check_used(settings, names)
    if quantize:
        task.backbone.quantize(quantize)
    return [
        possible[name](task, **_arguments(name, task, settings))
        for name in names
    ]


def _arguments(name, task, settings):
    arguments = {
        argument: settings[flag]
        for flag, argument in _ARGUMENTS[name].items()
        if flag in settings
    }
    if "buckets" in settings:
        arguments["buckets"] = _checked_buckets(settings["buckets"])
    if name == "generate":
        sampler_args = SamplerArgs(
            sampler=settings.get("sampler"),
            **{
                option: settings[flag]
                for flag, option in _SAMPLER_OPTIONS.items()
                if flag in settings
            },
        )
        arguments["sampler"] = sampler_args.make_sampler(task.sampler)
    return arguments


def _checked_buckets(buckets):
    if sorted(set(buckets)) != list(buckets) or min(buckets, default=1) < 1:
        raise ValueError(
            "`buckets` must be positive and rising. Received: "
            f"buckets={list(buckets)}"
        )
    return tuple(buckets) or None


def _check_used(settings, names):
    known = {
        name: {
            *arguments,
            *({"sampler", *_SAMPLER_OPTIONS} if name == "generate" else ()),
        }
        for name, arguments in _ARGUMENTS.items()
    }
    for flag in settings:
        users = [name for name in known if flag in known[name]]
        if users and not set(users) & set(names):
            raise ValueError(
                f"`{flag}` is a setting of {' and '.join(users)}. Received: "
                f"{flag}={settings[flag]} for {', '.join(names)}. Leave it out."
            )
