"""Models of unilmv2_tf and their steps on any backend of Keras."""

import keras
import numpy as np

from benchmarks.contenders import rows
from unilmv2_tf.models import UniLMv2Backbone
from unilmv2_tf.models import UniLMv2PseudoMaskedLM


def backbone(settings, max_sequence_length=512, backbone_cls=UniLMv2Backbone):
    """A backbone with random weights."""
    size = rows.size(settings)
    return backbone_cls(
        vocabulary_size=rows.VOCABULARY_SIZE,
        num_layers=size["layers"],
        num_heads=size["heads"],
        hidden_dim=size["hidden"],
        intermediate_dim=size["inner"],
        dropout=settings.get("dropout", rows.DROPOUT),
        max_sequence_length=max_sequence_length,
        dtype=settings.get("precision", "float32"),
    )


def as_inputs(masked):
    """Masked rows as the task takes them.

    Returns:
        A tuple `(x, y, sample_weight)` of arrays.
    """
    ids = masked["token_ids"]
    x = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
        "mask_positions": masked["positions"],
        "mask_steps": masked["steps"],
        "revealed_token_ids": masked["labels"],
    }
    weight = (masked["steps"] > 0).astype("float32")
    return x, masked["labels"], weight


def keras_pretraining(settings):
    """An update as Keras's `fit` does it, on whatever backend there is."""
    masked = rows.masked_rows(settings["batch_size"], settings["length"])
    task = UniLMv2PseudoMaskedLM(
        backbone(settings, max(512, settings["length"])),
        objectives=tuple(settings.get("objectives", ("ae", "par"))),
        pseudo_token_id=rows.MASK,
    )
    task.compile(weighted_metrics=[])
    x, y, weight = as_inputs(masked)
    x = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}

    def step():
        logs = task.train_on_batch(x, y, weight, return_dict=True)
        return float(logs["loss"])

    return step
