"""UniLMv2 for TensorFlow and Keras 3."""

import importlib
import os
import sys
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    # What editors and type checkers complete; loaded lazily at run time.
    from unilmv2_tf import checkpoints
    from unilmv2_tf import datasets
    from unilmv2_tf import evaluation
    from unilmv2_tf import layers
    from unilmv2_tf import models
    from unilmv2_tf import plots
    from unilmv2_tf import preprocessing
    from unilmv2_tf import samplers
    from unilmv2_tf import serving
    from unilmv2_tf import training
    from unilmv2_tf.layers import step_visibility
    from unilmv2_tf.models import UniLMv2Backbone
    from unilmv2_tf.models import UniLMv2PseudoMaskedLM
    from unilmv2_tf.models import UniLMv2QuestionAnswerer
    from unilmv2_tf.models import UniLMv2Seq2SeqLM
    from unilmv2_tf.models import UniLMv2TextClassifier
    from unilmv2_tf.preprocessing import UniLMv2PseudoMaskedLMPreprocessor
    from unilmv2_tf.preprocessing import UniLMv2QuestionAnswererPreprocessor
    from unilmv2_tf.preprocessing import UniLMv2Seq2SeqLMPreprocessor
    from unilmv2_tf.preprocessing import UniLMv2TextClassifierPreprocessor
    from unilmv2_tf.preprocessing import UniLMv2Tokenizer
    from unilmv2_tf.samplers import BeamSearchSampler

__all__ = [
    "BeamSearchSampler",
    "UniLMv2Backbone",
    "UniLMv2PseudoMaskedLM",
    "UniLMv2PseudoMaskedLMPreprocessor",
    "UniLMv2QuestionAnswerer",
    "UniLMv2QuestionAnswererPreprocessor",
    "UniLMv2Seq2SeqLM",
    "UniLMv2Seq2SeqLMPreprocessor",
    "UniLMv2TextClassifier",
    "UniLMv2TextClassifierPreprocessor",
    "UniLMv2Tokenizer",
    "checkpoints",
    "datasets",
    "evaluation",
    "layers",
    "models",
    "plots",
    "preprocessing",
    "samplers",
    "serving",
    "step_visibility",
    "training",
]


_PACKAGE_OF = {
    "BeamSearchSampler": "samplers",
    "UniLMv2Backbone": "models",
    "UniLMv2PseudoMaskedLM": "models",
    "UniLMv2PseudoMaskedLMPreprocessor": "preprocessing",
    "UniLMv2QuestionAnswerer": "models",
    "UniLMv2QuestionAnswererPreprocessor": "preprocessing",
    "UniLMv2Seq2SeqLM": "models",
    "UniLMv2Seq2SeqLMPreprocessor": "preprocessing",
    "UniLMv2TextClassifier": "models",
    "UniLMv2TextClassifierPreprocessor": "preprocessing",
    "UniLMv2Tokenizer": "preprocessing",
    "step_visibility": "layers",
}


def __getattr__(name):
    if name in _PACKAGE_OF:
        package = importlib.import_module(f"{__name__}.{_PACKAGE_OF[name]}")
        return getattr(package, name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]


# Keras and KerasHub find the classes of a saved model by their registration.
# The command line leaves it to the commands that need it: TensorFlow takes
# seconds to load, and help and errors should appear at once.
if os.path.basename(sys.argv[0] if sys.argv else "") != "unilmv2":
    importlib.import_module(f"{__name__}.models")
