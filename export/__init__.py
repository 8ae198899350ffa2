"""SavedModels for TensorFlow Serving, their check, and a client."""

from unilmv2_tf.export.answering import Answer
from unilmv2_tf.export.checking import check_export
from unilmv2_tf.export.classifying import Classify
from unilmv2_tf.export.client import ask_saved_model
from unilmv2_tf.export.encoding import Encode
from unilmv2_tf.export.filling import Fill
from unilmv2_tf.export.generating import Generate
from unilmv2_tf.export.saved_model import export_model

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
