"""Beam searches that are forced to the full length."""

import numpy as np

from benchmarks.contenders import rows


def _inputs(settings):
    source, _ = rows.pairs(settings["batch_size"], settings["source_length"], 1)
    target = np.zeros(
        [settings["batch_size"], settings["target_length"]], "int32"
    )
    return {
        "encoder_token_ids": source,
        "encoder_padding_mask": np.ones_like(source),
        "decoder_token_ids": target,
        "decoder_padding_mask": np.zeros_like(target),
    }


def ours(settings):
    """`UniLMv2Seq2SeqLM.generate` with `BeamSearchSampler`."""
    from unilmv2_tf import BeamSearchSampler

    task = _our_task(settings)
    task.compile(sampler=BeamSearchSampler(settings["num_beams"]))
    inputs = _inputs(settings)
    return lambda: task.generate(inputs, stop_token_ids=None)


def as_they_are(settings):
    """As `ours`, with kernels that are not laid out for a few rows."""
    from unilmv2_tf.models import tensorflow_backend

    tensorflow_backend.MIN_BYTES_TO_LAY_OUT = float("inf")
    return ours(settings)


def uncached(settings):
    """The same search; every token runs source and target again.

    The first step builds the graph and does no search, which takes minutes.
    """
    import tensorflow as tf

    from unilmv2_tf import BeamSearchSampler

    task = _our_task(settings)
    sampler = BeamSearchSampler(settings["num_beams"])
    inputs = _inputs(settings)
    source = np.repeat(
        inputs["encoder_token_ids"], settings["num_beams"], axis=0
    )

    @tf.function(autograph=False)
    def search():
        return sampler(
            next=lambda *arguments: _next_uncached(task, source, *arguments),
            prompt=tf.constant(inputs["decoder_token_ids"]),
            stop_token_ids=None,
        )

    graphs = []

    def step():
        if graphs:
            return graphs[0]().numpy()
        graphs.append(search.get_concrete_function())

    return step


def keras_hub_bart(settings):
    """`BartSeq2SeqLM.generate` with KerasHub's `BeamSampler`."""
    import keras_hub

    size = rows.size(settings)
    task = keras_hub.models.BartSeq2SeqLM(
        keras_hub.models.BartBackbone(
            vocabulary_size=rows.VOCABULARY_SIZE,
            num_layers=size["layers"] // 2,
            num_heads=size["heads"],
            hidden_dim=size["hidden"],
            intermediate_dim=size["inner"],
            dtype=settings.get("precision", "float32"),
        )
    )
    task.compile(
        sampler=keras_hub.samplers.BeamSampler(settings["num_beams"]),
        jit_compile=settings.get("xla", False),
    )
    inputs = _inputs(settings)
    # It starts from a token that is there.
    inputs["decoder_token_ids"][:, 0] = rows.CLS
    inputs["decoder_padding_mask"][:, 0] = 1
    return lambda: task.generate(inputs, stop_token_ids=None)


def hugging_face_bart(settings):
    """`BartForConditionalGeneration.generate` in PyTorch."""
    import torch
    import transformers

    from benchmarks.contenders.hugging_face import bart_config

    torch.set_num_threads(settings.get("threads") or torch.get_num_threads())
    model = transformers.BartForConditionalGeneration(
        bart_config(
            settings, forced_bos_token_id=None, forced_eos_token_id=None
        )
    ).eval()
    model = model.to(getattr(torch, settings.get("precision", "float32")))
    source = torch.tensor(_inputs(settings)["encoder_token_ids"]).long()

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


def _our_task(settings):
    from benchmarks.contenders.our_models import backbone
    from unilmv2_tf import UniLMv2Seq2SeqLM

    return UniLMv2Seq2SeqLM(backbone(settings), pseudo_token_id=rows.MASK)


def _next_uncached(task, source, prompt, cache, index):
    import tensorflow as tf

    target = prompt[:, : index + 1]
    slots = tf.zeros_like(target) + tf.range(index + 1)
    hidden_states = task.backbone.encode_blocks(
        token_ids=tf.constant(source),
        segment_ids=tf.zeros_like(source),
        padding_mask=tf.ones_like(source),
        revealed_token_ids=target,
        pseudo_token_ids=tf.fill(tf.shape(target), task.pseudo_token_id),
        target_segment_ids=tf.ones_like(target),
        target_positions=source.shape[1] + slots,
        steps=slots + 1,
        predicted_only=True,
    )
    # Only the last pseudo mask asks for a token.
    logits = task.language_model_head(hidden_states[:, -1:])
    return logits[:, 0], None, cache
