import os
import pathlib

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.atomic import replacing
from unilmv2_tf.checkpoints import load_official
from unilmv2_tf.checkpoints.layouts import HEAD_TENSORS
from unilmv2_tf.checkpoints.layouts import canonicalize
from unilmv2_tf.checkpoints.readers import find_weights
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary


def convert(
    source: str,
    output: str = "preset",
    vocabulary: str | None = None,
    config: str | None = None,
    lowercase: bool = True,
):
    """Makes a preset of a checkpoint.

    Args:
        source: A file of weights or a folder.
        output: The preset folder to write.
        vocabulary: The vocabulary file. Defaults to vocab.txt beside the
            weights.
        config: The configuration. Defaults to config.json beside the weights.
        lowercase: Whether the vocabulary is an uncased one.
    """
    weights = find_weights(source)
    if vocabulary is None:
        vocabulary = pathlib.Path(weights).parent / "vocab.txt"
    tokenizer = UniLMv2Tokenizer(load_vocabulary(vocabulary), lowercase)
    names = canonicalize(read_tensors(weights)).sources
    if any(name in names for name in HEAD_TENSORS):
        model = load_official(
            source,
            UniLMv2Seq2SeqLM,
            config,
            pseudo_token_id=tokenizer.pseudo_token_id,
        )
        model.preprocessor = UniLMv2Seq2SeqLM.default_preprocessor(
            tokenizer, model.backbone.max_sequence_length
        )
    else:
        model = load_official(source, UniLMv2Backbone, config)
    with replacing(output) as temporary:
        os.mkdir(temporary)
        model.save_to_preset(temporary)
        tokenizer.save_to_preset(temporary)
    print(f"written to {output}")
