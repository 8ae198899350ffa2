"""Samplers that choose token by token choose the same in an export."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf.serving import Generate
from unilmv2_tf.serving import export_model


def restarted(sampler):
    """The sampler, its random numbers from their beginning."""
    return type(sampler).from_config(sampler.get_config())


@pytest.mark.slow
@pytest.mark.parametrize(
    "sampler",
    [
        keras_hub.samplers.GreedySampler(),
        keras_hub.samplers.TopKSampler(k=4, seed=3, temperature=0.7),
    ],
    ids=["greedy", "top_k"],
)
def test_same_texts_and_scores_of_the_teacher_forced_pass(
    make_task, texts, tmp_path, sampler
):
    task = make_task(num_layers=2)
    task.compile(sampler=restarted(sampler))
    # As one batch, in this order: random numbers go by places.
    outputs = task.make_generate_function()(
        task.preprocessor.generate_preprocess(texts),
        stop_token_ids=(task.preprocessor.tokenizer.end_token_id,),
    )
    expected = task.preprocessor.generate_postprocess(outputs)
    assert len(set(expected)) > 3, "the toy answers all texts alike"

    task.compile(sampler=restarted(sampler))
    folder = export_model(task, tmp_path / "toy", check=False)
    model = tf.saved_model.load(folder)
    outputs = model.signatures["serving_default"](tf.constant(texts))
    answers = [x.decode() for x in outputs["generated_text"].numpy()]
    assert answers == expected

    # The loaded model goes on with its random numbers; so start again.
    signature = tf.saved_model.load(folder).signatures["generate_ids"]
    source = task.preprocessor.generate_preprocess(texts)
    source = {k: v for k, v in source.items() if k.startswith("encoder")}
    outputs = signature(**source)
    target, mask = outputs["decoder_token_ids"], outputs["decoder_padding_mask"]
    logits = task(
        {
            **source,
            "decoder_token_ids": target,
            "decoder_padding_mask": mask,
            "pseudo_token_ids": 4 * mask,
            "decoder_steps": mask * (1 + tf.range(target.shape[1])),
        }
    )
    log_probs = keras.ops.log_softmax(logits / sampler.temperature, axis=-1)
    chosen = np.take_along_axis(
        np.array(log_probs), np.array(target)[..., None], axis=2
    )[..., 0]
    np.testing.assert_allclose(
        outputs["score"], (chosen * np.array(mask)).sum(axis=1), rtol=1e-5
    )


def test_no_operation_that_xla_compiles(make_task, tmp_path):
    folder = export_model(
        Generate(make_task(), sampler="greedy"),
        tmp_path / "toy",
        text_signatures=False,
        check=False,
    )
    with open(f"{folder}/saved_model.pb", "rb") as file:
        assert b"XlaDynamicUpdateSlice" not in file.read()
