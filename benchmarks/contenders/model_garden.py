"""Steps of Model Garden's BERT, with the optimizer of its trainer."""

import numpy as np
import tensorflow as tf
import tf_keras
from official.nlp import modeling
from official.nlp import optimization

from benchmarks.contenders import rows


def bert(settings):
    """An update of `BertPretrainerV2` with a masked language model only."""
    masked = rows.masked_rows(settings["batch_size"], settings["length"])
    size = rows.size(settings)
    dropout = settings.get("dropout", rows.DROPOUT)
    initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02)
    encoder = modeling.networks.BertEncoderV2(
        vocab_size=rows.VOCABULARY_SIZE,
        hidden_size=size["hidden"],
        num_layers=size["layers"],
        num_attention_heads=size["heads"],
        inner_dim=size["inner"],
        max_sequence_length=512,
        output_dropout=dropout,
        attention_dropout=dropout,
        initializer=initializer,
    )
    model = modeling.models.BertPretrainerV2(
        encoder,
        mlm_activation=tf_keras.layers.Activation("gelu"),
        mlm_initializer=initializer,
    )
    optimizer = optimization.AdamWeightDecay(
        learning_rate=rows.LEARNING_RATE,
        weight_decay_rate=rows.WEIGHT_DECAY,
        beta_2=rows.BETAS[1],
        epsilon=rows.EPSILON,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
    )
    ids = masked["token_ids"]
    x = {
        "input_word_ids": ids,
        "input_mask": np.ones_like(ids),
        "input_type_ids": np.zeros_like(ids),
        "masked_lm_positions": masked["positions"],
    }
    x = {name: tf.constant(value) for name, value in x.items()}
    labels = tf.constant(masked["labels"])
    weight = tf.constant((masked["steps"] > 0).astype("float32"))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            logits = model(x, training=True)["mlm_logits"]
            losses = tf_keras.losses.sparse_categorical_crossentropy(
                labels, logits, from_logits=True
            )
            loss = tf.reduce_sum(losses * weight) / tf.reduce_sum(weight)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(
            [pair for pair in zip(gradients, variables) if pair[0] is not None]
        )
        return loss

    return lambda: step().numpy()
