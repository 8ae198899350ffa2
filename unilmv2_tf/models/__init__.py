"""The backbone and the tasks, as KerasHub models."""

from unilmv2_tf.models.backbone import UniLMv2Backbone
from unilmv2_tf.models.losses import SmoothedCrossEntropy
from unilmv2_tf.models.pseudo_masked_lm import UniLMv2PseudoMaskedLM
from unilmv2_tf.models.question_answerer import UniLMv2QuestionAnswerer
from unilmv2_tf.models.seq_2_seq_lm import UniLMv2Seq2SeqLM
from unilmv2_tf.models.text_classifier import UniLMv2TextClassifier
from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

# KerasHub finds the classes of a preset by their backbone. Preprocessing
# imports no models, so the classes are linked here.
for _text_class in (
    UniLMv2Tokenizer,
    UniLMv2PseudoMaskedLMPreprocessor,
    UniLMv2QuestionAnswererPreprocessor,
    UniLMv2Seq2SeqLMPreprocessor,
    UniLMv2TextClassifierPreprocessor,
):
    _text_class.backbone_cls = UniLMv2Backbone

__all__ = [
    "SmoothedCrossEntropy",
    "UniLMv2Backbone",
    "UniLMv2PseudoMaskedLM",
    "UniLMv2QuestionAnswerer",
    "UniLMv2Seq2SeqLM",
    "UniLMv2TextClassifier",
]
