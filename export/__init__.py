"""SavedModels for TensorFlow Serving, and a client that tries them."""

from unilmv2_tf.export.client import ask_saved_model
from unilmv2_tf.export.saved_model import export_generation

__all__ = ["ask_saved_model", "export_generation"]
