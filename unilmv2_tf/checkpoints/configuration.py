"""The authors' configuration keys and our constructor arguments."""

import math
import numbers

_SIZES = {
    "vocab_size": "vocabulary_size",
    "hidden_size": "hidden_dim",
    "num_hidden_layers": "num_layers",
    "num_attention_heads": "num_heads",
    "intermediate_size": "intermediate_dim",
    "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
}
# Whether each is the tanh approximation.
_ACTIVATIONS = {
    "gelu": False,
    "gelu_python": False,
    "gelu_new": True,
    "gelu_fast": True,
    "gelu_pytorch_tanh": True,
}
# Far above any real model: a damaged number must not end in hours of work.
_MAXIMUM = 10**9
_MAXIMA = {"num_hidden_layers": 1000, "max_rel_pos": 10**6}
_SEGMENTS = {
    "source_type_id": "source_segment_id",
    "target_type_id": "target_segment_id",
}


def _whole(config, key, minimum):
    maximum = _MAXIMA.get(key, _MAXIMUM)
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        value = "no such key" if key not in config else repr(value)
    elif minimum <= value <= maximum:
        return value
    raise ValueError(
        f"The configuration must hold an integer of at least {minimum} and at "
        f"most {maximum:,} under {key!r}. Received: {value}"
    )


def _real(config, key, default, below=math.inf):
    value = config.get(key, default)
    if (
        not isinstance(value, numbers.Real)
        or isinstance(value, bool)
        or not 0 <= value < below
    ):
        raise ValueError(
            f"The configuration must hold a number of at least 0 and below "
            f"{below} under {key!r}. Received: {value!r}"
        )
    return float(value)


def _approximate_gelu(config):
    activation = config.get("hidden_act", "gelu")
    if not isinstance(activation, str) or activation not in _ACTIVATIONS:
        raise ValueError(
            "The configuration must have one of these under 'hidden_act': "
            f"{', '.join(_ACTIVATIONS)}. Received: {activation!r}"
        )
    return _ACTIVATIONS[activation]


def _check_positions(config):
    kind = config.get("position_embedding_type", "absolute")
    if kind != "absolute":
        raise ValueError(
            'The configuration must have "position_embedding_type": '
            f'"absolute": no other is implemented. Received: {kind!r}'
        )


def _dropout(config):
    dropout = _real(config, "hidden_dropout_prob", 0.1, below=1)
    attention = _real(config, "attention_probs_dropout_prob", dropout, below=1)
    if attention != dropout:
        raise ValueError(
            "The model has one dropout rate, so hidden_dropout_prob and "
            f"attention_probs_dropout_prob must agree. Received: {dropout} "
            f"and {attention}. Pass config= as a dict with the rate you want "
            "under both keys; without training they make no difference."
        )
    return dropout


def backbone_arguments(config):
    """Translates an official configuration to `UniLMv2Backbone` arguments.

    Args:
        config: dict of official keys. Required are `vocab_size`,
            `hidden_size`, `num_hidden_layers`, `num_attention_heads`,
            `intermediate_size`, `max_position_embeddings`, `type_vocab_size`,
            and `max_rel_pos` where `rel_pos_bins` is above 0. Optional are
            `rel_pos_bins` (0), `layer_norm_eps` (1e-12), `hidden_act`
            ("gelu", or "gelu_new" for its tanh approximation) and
            `hidden_dropout_prob` (0.1), with which
            `attention_probs_dropout_prob` must agree, as there is one dropout
            rate. Other keys are not looked at.

    Returns:
        A dict.

    Raises:
        ValueError: if a value is absent or out of range, named by its
            official key.

    Example:

    >>> arguments = backbone_arguments({
    ...     "vocab_size": 101, "hidden_size": 32, "num_hidden_layers": 2,
    ...     "num_attention_heads": 4, "intermediate_size": 64,
    ...     "max_position_embeddings": 64, "type_vocab_size": 2})
    >>> arguments["hidden_dim"], arguments["num_relative_buckets"]
    (32, 0)
    """
    _check_positions(config)
    arguments = {
        argument: _whole(config, key, minimum=1)
        for key, argument in _SIZES.items()
    }
    arguments["dropout"] = _dropout(config)
    arguments["layer_norm_epsilon"] = _real(config, "layer_norm_eps", 1e-12)
    arguments["approximate_gelu"] = _approximate_gelu(config)
    buckets = _whole({"rel_pos_bins": 0, **config}, "rel_pos_bins", minimum=0)
    arguments["num_relative_buckets"] = buckets
    if buckets:
        arguments["max_relative_distance"] = _whole(config, "max_rel_pos", 1)
    return arguments


def segment_arguments(config):
    """Translates the segment ids of source and target.

    Args:
        config: dict of official keys, of which `source_type_id` and
            `target_type_id` are optional here.

    Returns:
        A dict with `source_segment_id` and `target_segment_id`, each only if
        the configuration names it.

    Raises:
        ValueError: if an id is not a whole number below `type_vocab_size`.

    Example:

    >>> segment_arguments({"type_vocab_size": 6, "target_type_id": 5})
    {'target_segment_id': 5}
    """
    arguments = {}
    for key, argument in _SEGMENTS.items():
        if key in config:
            segment = _whole(config, key, minimum=0)
            if segment >= config["type_vocab_size"]:
                raise ValueError(
                    f"{key!r} must be below type_vocab_size="
                    f"{config['type_vocab_size']}. Received: {segment}"
                )
            arguments[argument] = segment
    return arguments


def label_names(config):
    """Reads the names of classes.

    Args:
        config: dict of official keys. `id2label` is optional.

    Returns:
        A list of strings, empty if there are no names, or only the ones that
        Hugging Face's code makes up ("LABEL_0").

    Raises:
        ValueError: if `id2label` is not a dict of the numbers from 0.

    Example:

    >>> label_names({"id2label": {"1": "yes", "0": "no"}})
    ['no', 'yes']
    """
    labels = config.get("id2label") or {}
    if not isinstance(labels, dict) or set(map(str, labels)) != set(
        map(str, range(len(labels)))
    ):
        raise ValueError(
            "'id2label' must give a name to each number from 0. Received: "
            f"{labels!r:.80}"
        )
    by_number = {int(number): str(name) for number, name in labels.items()}
    names = [by_number[number] for number in range(len(labels))]
    made_up = [f"LABEL_{number}" for number in range(len(names))]
    return [] if names == made_up else names


def official_config(backbone):
    """Translates a backbone's arguments to the authors' keys.

    Args:
        backbone: a `UniLMv2Backbone`.

    Returns:
        A dict that `backbone_arguments` translates back.

    Example:

    >>> from unilmv2_tf.models import UniLMv2Backbone
    >>> backbone = UniLMv2Backbone.from_preset(
    ...     "unilmv2_tiny", load_weights=False)
    >>> config = official_config(backbone)
    >>> config["hidden_size"], config["rel_pos_bins"], config["max_rel_pos"]
    (128, 32, 128)
    """
    config = {
        key: getattr(backbone, argument) for key, argument in _SIZES.items()
    }
    config["hidden_act"] = "gelu_new" if backbone.approximate_gelu else "gelu"
    config["hidden_dropout_prob"] = backbone.dropout
    config["attention_probs_dropout_prob"] = backbone.dropout
    config["layer_norm_eps"] = backbone.layer_norm_epsilon
    config["initializer_range"] = 0.02
    config["pad_token_id"] = 0
    if backbone.num_relative_buckets:
        config["rel_pos_bins"] = backbone.num_relative_buckets
        config["max_rel_pos"] = backbone.max_relative_distance
    return config
