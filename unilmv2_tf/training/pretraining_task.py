"""The model and the masking of a pre-training."""

import inspect

from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models.presets import is_preset_location
from unilmv2_tf.models.presets import preset_config
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots


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


def training_flops(backbone, num_slots, objectives):
    """The floating-point operations of the matrix products of one row.

    The backward pass counts as two forward passes. `num_slots` are the length
    of the row and the number of masked slots.
    """
    n, m = num_slots
    has_par = "par" in objectives
    dim, inner = backbone.hidden_dim, backbone.intermediate_dim
    num_tokens = n + 2 * m if has_par else n
    # Pairs of query and key: the context with itself, the revealed tokens with
    # both, the pseudo masks with all.
    num_pairs = n * n
    if has_par:
        num_pairs += m * (n + m) + m * (n + 2 * m)
    key_value, others = 2 * dim * dim, 2 * dim * dim + 2 * dim * inner
    layer = num_tokens * (key_value + others) + num_pairs * 2 * dim
    # The last layer has keys and values of all tokens, and queries of the
    # predicted ones only.
    num_pairs = m * n if "ae" in objectives else 0
    if has_par:
        num_pairs += m * (n + 2 * m)
    last = num_tokens * key_value + len(objectives) * m * others
    last += num_pairs * 2 * dim
    head = len(objectives) * m * (dim * dim + dim * backbone.vocabulary_size)
    return 3 * 2 * ((backbone.num_layers - 1) * layer + last + head)


def row_sizes(preprocessor):
    """The length of a preprocessor's rows and their number of mask slots."""
    return preprocessor.sequence_length, num_mask_slots(
        preprocessor.sequence_length,
        preprocessor.mask_selection_rate,
        preprocessor.max_block,
        preprocessor.whole_words,
    )
