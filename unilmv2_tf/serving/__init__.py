"""SavedModels for TensorFlow Serving, their check, and a client."""

from unilmv2_tf.serving.answering import Answer
from unilmv2_tf.serving.checking import check_export
from unilmv2_tf.serving.classifying import Classify
from unilmv2_tf.serving.client import ask_saved_model
from unilmv2_tf.serving.encoding import Encode
from unilmv2_tf.serving.filling import Fill
from unilmv2_tf.serving.generating import Generate
from unilmv2_tf.serving.saved_model import export_model

__all__ = [
    "Answer",
    "Classify",
    "Encode",
    "Fill",
    "Generate",
    "ask_saved_model",
    "check_export",
    "export_model",
]
