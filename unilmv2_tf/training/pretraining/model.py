import inspect

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import is_preset_location
from unilmv2_tf.models import preset_config
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer


def make_preprocessor(settings, shards):
    """The masking of a pre-training.

    Args:
        settings: `PretrainingSettings`.
        shards: `PackedFolder`.

    Returns:
        A `UniLMv2PseudoMaskedLMPreprocessor`.
    """
    return UniLMv2PseudoMaskedLMPreprocessor(
        shards.tokenizer(),
        sequence_length=shards.sequence_length,
        mask_selection_rate=settings.mask_selection_rate,
        block_probability=settings.block_probability,
        whole_words=settings.whole_words,
        seed=settings.seed,
    )


def check_positions(settings, shards):
    """Checks that a built-in size has positions for the rows.

    Args:
        settings: `PretrainingSettings`.
        shards: `PackedFolder`.

    Raises:
        ValueError: if it has not, or there is no such size or argument.
    """
    _check_arguments(settings.backbone)
    if is_preset_location(settings.preset):
        return
    config = preset_config(settings.preset, **settings.backbone)
    default = inspect.signature(UniLMv2Backbone).parameters
    length = config.get(
        "max_sequence_length", default["max_sequence_length"].default
    )
    if shards.sequence_length > length:
        raise ValueError(
            "`data` must have rows that fit the positions of the model. "
            f"Received: rows of {shards.sequence_length} in {shards.folder}, "
            f"max_sequence_length={length}. Prepare shorter rows, or give "
            f"--backbone.max_sequence_length {shards.sequence_length}."
        )


def make_task(settings, shards, preprocessor):
    """The model of a pre-training, new or from a preset folder.

    Args:
        settings: `PretrainingSettings`.
        shards: `PackedFolder`.
        preprocessor: what `make_preprocessor` returns.

    Returns:
        A `UniLMv2PseudoMaskedLM`.

    Raises:
        ValueError: if a preset folder has another vocabulary than the shards.
    """
    arguments = dict(settings.backbone)
    if is_preset_location(settings.preset):
        _check_vocabulary(settings.preset, shards)
    else:
        arguments["load_weights"] = False
        arguments["vocabulary_size"] = len(shards.vocabulary)
    return UniLMv2PseudoMaskedLM.from_preset(
        settings.preset,
        preprocessor=preprocessor,
        objectives=tuple(settings.objectives),
        dtype=settings.precision,
        **arguments,
    )


def _check_arguments(arguments):
    known = set(inspect.signature(UniLMv2Backbone).parameters)
    known -= {"kwargs", "vocabulary_size", "dtype"}
    unknown = set(arguments) - known
    if unknown:
        raise ValueError(
            "`backbone` must name arguments of UniLMv2Backbone: "
            f"{', '.join(sorted(known))} (the vocabulary is that of the "
            "shards, the dtype is --precision). Received: "
            f"{', '.join(sorted(unknown))}"
        )


def _check_vocabulary(preset, shards):
    tokenizer = UniLMv2Tokenizer.from_preset(preset)
    theirs = list(tokenizer.get_vocabulary())
    if theirs != list(shards.vocabulary):
        raise ValueError(
            "`data` must have been prepared with the vocabulary of `preset`. "
            f"Received: {len(shards.vocabulary):,} tokens in {shards.folder}, "
            f"{len(theirs):,} in {preset}. Run `unilmv2 prepare` with "
            f"--vocabulary {preset}."
        )
