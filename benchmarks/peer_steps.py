"""Steps of other libraries' models of the same size, as their guides do them.

A peer is `(factory, packages that it imports, extra that installs them)`.
"""

import numpy as np

from benchmarks import random_rows
from benchmarks.our_steps import masked_rows
from benchmarks.our_steps import tensors
from benchmarks.random_rows import model_arguments
from benchmarks.random_rows import size_of

KERAS_HUB = (["keras_hub"], "bench")
HUGGING_FACE = (["torch", "transformers"], "bench")
PRETRAINING = {
    "KerasHub BERT": (f"{__name__}:keras_hub_bert", *KERAS_HUB),
    "Model Garden BERT": (
        f"{__name__}:model_garden_bert",
        ["official", "tf_keras"],
        "garden",
    ),
}
FINETUNING = {
    "KerasHub BART": (f"{__name__}:keras_hub_bart", *KERAS_HUB),
    "Hugging Face BART": (f"{__name__}:hugging_face_bart", *HUGGING_FACE),
}
DECODING = {
    "KerasHub BART": (f"{__name__}:keras_hub_search", *KERAS_HUB),
    "Hugging Face BART": (f"{__name__}:hugging_face_search", *HUGGING_FACE),
}


def keras_hub_bert(settings):
    """An update of `BertMaskedLM`."""
    import keras_hub

    masked = masked_rows(settings)
    backbone = keras_hub.models.BertBackbone(**model_arguments(settings))
    task = keras_hub.models.BertMaskedLM(backbone)
    _compile(task, settings.get("jit_compile", False))
    ids = masked["token_ids"]
    x = tensors(
        {
            "token_ids": ids,
            "segment_ids": np.zeros_like(ids),
            "padding_mask": np.ones_like(ids),
            "mask_positions": masked["positions"],
        }
    )
    return lambda: float(task.train_on_batch(x, masked["labels"]))


def keras_hub_bart(settings):
    """An update of `BartSeq2SeqLM`."""
    task = _keras_hub_bart(settings)
    # It is faster on a CPU without XLA.
    _compile(task, jit_compile=False)
    x = tensors(random_rows.pair_inputs(settings))
    return lambda: float(task.train_on_batch(x, x["decoder_token_ids"]))


def keras_hub_search(settings):
    """`BartSeq2SeqLM.generate` with `BeamSampler`, to the full length."""
    import keras_hub

    task = _keras_hub_bart(settings)
    task.compile(
        sampler=keras_hub.samplers.BeamSampler(settings["num_beams"]),
        jit_compile=False,
    )
    inputs = random_rows.pair_inputs(settings, is_target_known=False)
    # BART starts from a token of its own.
    inputs["decoder_token_ids"][:, 0] = random_rows.CLS
    inputs["decoder_padding_mask"][:, 0] = 1
    return lambda: task.generate(inputs, stop_token_ids=None)


def _keras_hub_bart(settings):
    import keras_hub

    arguments = model_arguments(settings)
    # Half of the layers encode, half decode.
    arguments["num_layers"] //= 2
    backbone = keras_hub.models.BartBackbone(**arguments)
    return keras_hub.models.BartSeq2SeqLM(backbone)


def _compile(task, jit_compile):
    import keras

    optimizer = keras.optimizers.AdamW(
        random_rows.LEARNING_RATE,
        weight_decay=random_rows.WEIGHT_DECAY,
        beta_2=random_rows.BETA_2,
        epsilon=random_rows.EPSILON,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    task.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=[],
        jit_compile=jit_compile,
    )


def hugging_face_bart(settings):
    """An update of `BartForConditionalGeneration`, in PyTorch."""
    import torch

    dropout = settings.get("dropout", random_rows.DROPOUT)
    model = hugging_face_bart_model(
        settings, dropout=dropout, attention_dropout=dropout
    ).train()
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=random_rows.LEARNING_RATE,
        weight_decay=random_rows.WEIGHT_DECAY,
        eps=random_rows.EPSILON,
    )
    inputs = random_rows.pair_inputs(settings)
    source = torch.tensor(inputs["encoder_token_ids"]).long()
    target = torch.tensor(inputs["decoder_token_ids"]).long()
    is_mixed = settings.get("precision") == "mixed_bfloat16"

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_mixed):
            loss = model(
                input_ids=source,
                attention_mask=torch.ones_like(source),
                labels=target,
            ).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def hugging_face_search(settings):
    """`BartForConditionalGeneration.generate`, to the full length."""
    import torch

    model = hugging_face_bart_model(
        settings, forced_bos_token_id=None, forced_eos_token_id=None
    ).eval()
    model = model.to(getattr(torch, settings.get("precision", "float32")))
    inputs = random_rows.pair_inputs(settings)
    source = torch.tensor(inputs["encoder_token_ids"]).long()

    def step():
        with torch.inference_mode():
            return model.generate(
                source,
                num_beams=settings["num_beams"],
                min_new_tokens=settings["target_length"],
                max_new_tokens=settings["target_length"],
                do_sample=False,
            )

    return step


def hugging_face_bart_model(settings, **config):
    """BART of Hugging Face: half of the layers encode, half decode."""
    import torch
    import transformers

    torch.set_num_threads(settings.get("threads") or torch.get_num_threads())
    size = size_of(settings)
    halves = {}
    for half in ("encoder", "decoder"):
        halves[f"{half}_layers"] = size["num_layers"] // 2
        halves[f"{half}_attention_heads"] = size["num_heads"]
        halves[f"{half}_ffn_dim"] = size["intermediate_dim"]
    return transformers.BartForConditionalGeneration(
        transformers.BartConfig(
            vocab_size=random_rows.VOCABULARY_SIZE,
            d_model=size["hidden_dim"],
            **halves,
            **config,
        )
    )


def model_garden_bert(settings):
    """An update of `BertPretrainerV2`, with the optimizer of its trainer."""
    import tensorflow as tf
    import tf_keras
    from official.nlp import modeling
    from official.nlp import optimization

    masked = masked_rows(settings)
    size = size_of(settings)
    dropout = settings.get("dropout", random_rows.DROPOUT)
    initializer = tf_keras.initializers.TruncatedNormal(stddev=0.02)
    encoder = modeling.networks.BertEncoderV2(
        vocab_size=random_rows.VOCABULARY_SIZE,
        hidden_size=size["hidden_dim"],
        num_layers=size["num_layers"],
        num_attention_heads=size["num_heads"],
        inner_dim=size["intermediate_dim"],
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
        learning_rate=random_rows.LEARNING_RATE,
        weight_decay_rate=random_rows.WEIGHT_DECAY,
        beta_2=random_rows.BETA_2,
        epsilon=random_rows.EPSILON,
        exclude_from_weight_decay=["LayerNorm", "layer_norm", "bias"],
    )
    ids = masked["token_ids"]
    x = {
        "input_word_ids": tf.constant(ids),
        "input_mask": tf.ones_like(ids),
        "input_type_ids": tf.zeros_like(ids),
        "masked_lm_positions": tf.constant(masked["positions"]),
    }

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            losses = tf_keras.losses.sparse_categorical_crossentropy(
                masked["labels"],
                model(x, training=True)["mlm_logits"],
                from_logits=True,
            )
            loss = tf.reduce_mean(losses)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(
            [pair for pair in zip(gradients, variables) if pair[0] is not None]
        )
        return loss

    return lambda: step().numpy()
