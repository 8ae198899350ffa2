"""Samplers, in `keras.ops` only."""

from unilmv2_tf.samplers.beam_search_sampler import BeamSearchSampler
from unilmv2_tf.samplers.forbidden_tokens import forbidden_token_penalty
from unilmv2_tf.samplers.ngram_rule import repeated_ngram_penalty

__all__ = [
    "BeamSearchSampler",
    "forbidden_token_penalty",
    "repeated_ngram_penalty",
]
