"""The model and the masking of a pre-training."""

import inspect

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer


def make_preprocessor(args, shards):
    """The masking of `PretrainArgs`, with the vocabulary of the shards."""
    # Options of the masking have the same names in both.
    names = inspect.signature(UniLMv2PseudoMaskedLMPreprocessor).parameters
    options = {key: value for key, value in vars(args).items() if key in names}
    return UniLMv2PseudoMaskedLMPreprocessor(
        shards.tokenizer(), sequence_length=shards.sequence_length, **options
    )


def make_task(args, shards, preprocessor):
    """The model, new or from a preset folder with the shards' vocabulary."""
    arguments = dict(args.backbone)
    if is_preset_location(args.preset):
        _check_vocabulary(args.preset, shards)
    else:
        arguments["vocabulary_size"] = len(shards.vocabulary)
        arguments["load_weights"] = False
    return UniLMv2PseudoMaskedLM.from_preset(
        args.preset,
        preprocessor=preprocessor,
        objectives=tuple(args.objectives),
        dtype=args.precision,
        **arguments,
    )


def check_positions(args, shards):
    """Raises ValueError if a built-in size has too few positions."""
    known = inspect.signature(UniLMv2Backbone).parameters
    allowed = set(known) - {"kwargs", "vocabulary_size", "dtype"}
    unknown = set(args.backbone) - allowed
    if unknown:
        raise ValueError(
            "`backbone` must name arguments of UniLMv2Backbone: "
            f"{', '.join(sorted(allowed))} (the vocabulary is that of the "
            "shards, the dtype is --precision). Received: "
            f"{', '.join(sorted(unknown))}"
        )
    if is_preset_location(args.preset):
        return
    length = preset_config(args.preset, **args.backbone).get(
        "max_sequence_length", known["max_sequence_length"].default
    )
    if shards.sequence_length > length:
        raise ValueError(
            "`data` must have rows that fit the positions of the model. "
            f"Received: rows of {shards.sequence_length} in {shards.folder}, "
            f"max_sequence_length={length}. Prepare shorter rows, or give "
            f"--backbone.max_sequence_length {shards.sequence_length}."
        )


def _check_vocabulary(preset, shards):
    theirs = list(UniLMv2Tokenizer.from_preset(preset).get_vocabulary())
    if theirs != list(shards.vocabulary):
        raise ValueError(
            "`data` must have been prepared with the vocabulary of `preset`. "
            f"Received: {len(shards.vocabulary):,} tokens in {shards.folder}, "
            f"{len(theirs):,} in {preset}. Run `unilmv2 prepare` with "
            f"--vocabulary {preset}."
        )
