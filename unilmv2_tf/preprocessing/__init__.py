"""From text to integer rows, as TensorFlow graph code."""

from unilmv2_tf.preprocessing.blockwise_masking import blockwise_masking
from unilmv2_tf.preprocessing.blockwise_masking import num_mask_slots
from unilmv2_tf.preprocessing.corruption import corrupt
from unilmv2_tf.preprocessing.packing import PackingStatistics
from unilmv2_tf.preprocessing.packing import load_rows
from unilmv2_tf.preprocessing.packing import pack_documents
from unilmv2_tf.preprocessing.pseudo_masked_lm_preprocessor import (
    UniLMv2PseudoMaskedLMPreprocessor,
)
from unilmv2_tf.preprocessing.question_answerer_preprocessor import (
    UniLMv2QuestionAnswererPreprocessor,
)
from unilmv2_tf.preprocessing.rows import assemble_rows
from unilmv2_tf.preprocessing.seq_2_seq_lm_preprocessor import (
    UniLMv2Seq2SeqLMPreprocessor,
)
from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    UniLMv2TextClassifierPreprocessor,
)
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer

__all__ = [
    "PackingStatistics",
    "UniLMv2PseudoMaskedLMPreprocessor",
    "UniLMv2QuestionAnswererPreprocessor",
    "UniLMv2Seq2SeqLMPreprocessor",
    "UniLMv2TextClassifierPreprocessor",
    "UniLMv2Tokenizer",
    "assemble_rows",
    "blockwise_masking",
    "corrupt",
    "load_rows",
    "num_mask_slots",
    "pack_documents",
]
