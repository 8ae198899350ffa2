"""UniLMv2 for TensorFlow and Keras 3."""

import importlib
import os
import sys

__version__ = "0.1.0"

_ROOMS = {
    "BeamSearchSampler": "samplers",
    "PartiallyAutoregressiveSampler": "samplers",
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
_MODULES = (
    "checkpoints",
    "datasets",
    "samplers",
    "layers",
    "evaluation",
    "models",
    "plots",
    "preprocessing",
)

__all__ = sorted([*_ROOMS, *_MODULES])


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _ROOMS:
        room = importlib.import_module(f"{__name__}.{_ROOMS[name]}")
        return getattr(room, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])


# Keras and KerasHub find the classes of a saved model by their registration.
# The command line leaves it to the commands that need it: TensorFlow takes
# seconds to load, and help and mistakes should be answered at once.
if os.path.basename(sys.argv[0] if sys.argv else "") != "unilmv2":
    importlib.import_module(f"{__name__}.models")
