"""Steps of KerasHub's models, trained as its guides do."""

import keras
import keras_hub
import numpy as np

from benchmarks.contenders import rows


def _optimizer():
    optimizer = keras.optimizers.AdamW(
        rows.LEARNING_RATE,
        weight_decay=rows.WEIGHT_DECAY,
        beta_2=rows.BETAS[1],
        epsilon=rows.EPSILON,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _compiled(task, jit_compile=False):
    task.compile(
        optimizer=_optimizer(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        # On a CPU it is faster without.
        jit_compile=jit_compile,
    )
    return task


def bert(settings):
    """An update of `BertMaskedLM`.

    Settings:
        jit_compile: bool or `"auto"`. Defaults to `False`.
    """
    masked = rows.masked_rows(settings["batch_size"], settings["length"])
    size = rows.size(settings)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=rows.VOCABULARY_SIZE,
        num_layers=size["layers"],
        num_heads=size["heads"],
        hidden_dim=size["hidden"],
        intermediate_dim=size["inner"],
        dropout=settings.get("dropout", rows.DROPOUT),
        dtype=settings.get("precision", "float32"),
    )
    task = _compiled(
        keras_hub.models.BertMaskedLM(backbone),
        settings.get("jit_compile", False),
    )
    ids = masked["token_ids"]
    x = {
        "token_ids": ids,
        "segment_ids": np.zeros_like(ids),
        "padding_mask": np.ones_like(ids),
        "mask_positions": masked["positions"],
    }
    x = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}
    weight = (masked["steps"] > 0).astype("float32")
    return lambda: float(task.train_on_batch(x, masked["labels"], weight))


def bart(settings):
    """An update of `BartSeq2SeqLM`: layers shared out to both halves."""
    source, target = rows.pairs(
        settings["batch_size"],
        settings["source_length"],
        settings["target_length"],
    )
    size = rows.size(settings)
    backbone = keras_hub.models.BartBackbone(
        vocabulary_size=rows.VOCABULARY_SIZE,
        num_layers=size["layers"] // 2,
        num_heads=size["heads"],
        hidden_dim=size["hidden"],
        intermediate_dim=size["inner"],
        dropout=settings.get("dropout", rows.DROPOUT),
        dtype=settings.get("precision", "float32"),
    )
    task = _compiled(keras_hub.models.BartSeq2SeqLM(backbone))
    x = {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones_like(source),
        "decoder_token_ids": target,
        "decoder_padding_mask": np.ones_like(target),
    }
    x = {name: keras.ops.convert_to_tensor(value) for name, value in x.items()}
    return lambda: float(task.train_on_batch(x, target))
