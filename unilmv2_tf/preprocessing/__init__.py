"""From text to integer rows, as TensorFlow graph code."""

from unilmv2_tf.preprocessing.blockwise_masking import blockwise_masking
from unilmv2_tf.preprocessing.packing import pack_documents
from unilmv2_tf.preprocessing.pseudo_masked_lm_preprocessor import (
    UniLMv2PseudoMaskedLMPreprocessor,
)
from unilmv2_tf.preprocessing.question_answerer_preprocessor import (
    UniLMv2QuestionAnswererPreprocessor,
)
from unilmv2_tf.preprocessing.seq_2_seq_lm_preprocessor import (
    UniLMv2Seq2SeqLMPreprocessor,
)
from unilmv2_tf.preprocessing.text_classifier_preprocessor import (
    UniLMv2TextClassifierPreprocessor,
)
from unilmv2_tf.preprocessing.text_cleaning import join_word_pieces
from unilmv2_tf.preprocessing.tokenizer import UniLMv2Tokenizer
from unilmv2_tf.preprocessing.vocabulary import learn_vocabulary
from unilmv2_tf.preprocessing.vocabulary import load_vocabulary
from unilmv2_tf.preprocessing.vocabulary import save_vocabulary

__all__ = [
    "UniLMv2PseudoMaskedLMPreprocessor",
    "UniLMv2QuestionAnswererPreprocessor",
    "UniLMv2Seq2SeqLMPreprocessor",
    "UniLMv2TextClassifierPreprocessor",
    "UniLMv2Tokenizer",
    "blockwise_masking",
    "join_word_pieces",
    "learn_vocabulary",
    "load_vocabulary",
    "pack_documents",
    "save_vocabulary",
]
