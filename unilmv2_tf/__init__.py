"""UniLMv2 for TensorFlow and Keras 3."""

from unilmv2_tf.generation import BeamSearchSampler
from unilmv2_tf.layers import step_visibility
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM
from unilmv2_tf.models import UniLMv2Seq2SeqLM
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

__version__ = "0.1.0"

__all__ = [
    "BeamSearchSampler",
    "UniLMv2Backbone",
    "UniLMv2PseudoMaskedLM",
    "UniLMv2PseudoMaskedLMPreprocessor",
    "UniLMv2Seq2SeqLM",
    "UniLMv2Seq2SeqLMPreprocessor",
    "UniLMv2Tokenizer",
    "step_visibility",
]
