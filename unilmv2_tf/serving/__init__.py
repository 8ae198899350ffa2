"""SavedModels for TensorFlow Serving, and their check."""

from unilmv2_tf.serving.answer_endpoint import Answer
from unilmv2_tf.serving.classify_endpoint import Classify
from unilmv2_tf.serving.encode_endpoint import Encode
from unilmv2_tf.serving.endpoint import Endpoint
from unilmv2_tf.serving.export_check import check_export
from unilmv2_tf.serving.fill_endpoint import Fill
from unilmv2_tf.serving.generate_endpoint import Generate
from unilmv2_tf.serving.saved_model import export_model

__all__ = [
    "Answer",
    "Classify",
    "Encode",
    "Endpoint",
    "Fill",
    "Generate",
    "check_export",
    "export_model",
]
