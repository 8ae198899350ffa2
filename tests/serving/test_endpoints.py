"""The outputs of the endpoints are those of the tasks."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf.serving import Answer
from unilmv2_tf.serving import Classify
from unilmv2_tf.serving import Encode
from unilmv2_tf.serving import Endpoint
from unilmv2_tf.serving import Fill
from unilmv2_tf.serving import Generate
from unilmv2_tf.serving import export_model


@pytest.fixture(scope="module")
def endpoints(tasks):
    return {
        "generate": Generate(tasks["generate"]),
        "classify": Classify(tasks["classify"]),
        "answer": Answer(tasks["answer"]),
        "fill": Fill(tasks["fill"]),
        "encode": Encode(tasks["generate"]),
    }


WORDS = "the quick brown fox jump over lazy dog . , ? a red blue".split()


def run(endpoint, **texts):
    """The signature of strings, in a graph as in an export."""
    return tf.function(endpoint.from_text, autograph=False)(**texts)


def strings(tensor):
    decode = np.vectorize(lambda text: text.decode(), otypes=[object])
    return decode(tensor.numpy()).tolist()


def test_sigmoids_of_several_labels(tasks):
    task = tasks["classify"]
    task = UniLMv2TextClassifier(
        task.backbone, preprocessor=task.preprocessor, multi_label=True
    )
    texts = ["the fox .", "a red dog"]
    outputs = run(Classify(task), text=tf.constant(texts))
    expected = task.classify(texts, return_probabilities=True)
    names = strings(outputs["labels"])
    for row, values, result in zip(names, outputs["probabilities"], expected):
        found = dict(zip(row, values.numpy().tolist()))
        assert found == pytest.approx(result["probabilities"], rel=1e-5)


class CountTokens(Endpoint):
    """The smallest endpoint that one can write."""

    name = "count"
    text_signatures = {"count": ("text",)}

    def compute(self, rows):
        rows = self.shorten(rows)
        return {
            "tokens": tf.reduce_sum(rows["padding_mask"], axis=1),
            "width": tf.fill(
                tf.shape(rows["token_ids"])[:1], tf.shape(rows["token_ids"])[1]
            ),
        }


def test_an_endpoint_of_ones_own(tasks):
    endpoint = CountTokens(tasks["classify"])
    outputs = run(endpoint, text=tf.constant([b"the fox", b"\xff", b""]))
    assert outputs["tokens"].numpy().tolist() == [4, 2, 2]
    # 24 is the longest row, 16 the narrowest bucket.
    assert outputs["width"].numpy().tolist() == [16, 16, 16]
    long = run(endpoint, text=tf.constant(["the " * 20]))
    assert (int(long["tokens"][0]), int(long["width"][0])) == (22, 24)
    assert run(endpoint, text=tf.constant([], tf.string))["tokens"].shape == 0
    # A server has padded the first row, with copies of the first element.
    ids = tf.constant([[2, 5, 3, 2, 2], [2, 5, 6, 7, 3]])
    mask = tf.ones_like(ids)
    outputs = endpoint.from_ids(
        token_ids=ids, segment_ids=0 * ids, padding_mask=mask
    )
    assert outputs["tokens"].numpy().tolist() == [3, 5]
    live = endpoint.live_text(text=[b"the fox", b""])
    assert live["tokens"].tolist() == [4, 2]


@pytest.mark.slow
def test_generate_is_generate(endpoints, tasks, texts):
    outputs = run(endpoints["generate"], text=tf.constant(texts))
    generated = strings(outputs["generated_text"])
    expected = tasks["generate"].generate(texts)
    assert generated == expected["generated_text"]
    np.testing.assert_allclose(outputs["score"], expected["scores"], rtol=1e-5)
    assert len(set(generated)) > 3, "the toy answers all texts alike"


def test_classify_is_classify(endpoints, tasks, texts):
    outputs = run(endpoints["classify"], text=tf.constant(texts))
    expected = tasks["classify"].classify(texts, return_probabilities=True)
    assert strings(outputs["label"]) == [x["label"] for x in expected]
    np.testing.assert_allclose(
        outputs["probabilities"],
        [list(x["probabilities"].values()) for x in expected],
        atol=1e-5,
    )
    pairs = run(
        endpoints["classify"],
        text_a=tf.constant(texts),
        text_b=tf.constant(texts[::-1]),
    )
    assert strings(pairs["label"]) == tasks["classify"].classify(
        (texts, texts[::-1])
    )


def test_answer_is_answer(endpoints, tasks, texts):
    # A long text whose windows differ: equal ones would be ties.
    texts = [
        text if len(text) < 1000 else " ".join(3 * WORDS) for text in texts
    ]
    questions = ["What red fox?"] * len(texts)
    outputs = run(
        endpoints["answer"],
        question=tf.constant(questions),
        context=tf.constant(texts),
    )
    expected = tasks["answer"].answer(questions, texts)
    found = strings(outputs["answer"])
    assert found == [answer["text"] for answer in expected]
    assert any(found) and not all(found)
    for name in ("start", "end"):
        assert outputs[name].numpy().tolist() == [x[name] for x in expected]
    for name in ("score", "probability", "null_score"):
        np.testing.assert_allclose(
            outputs[name], [x[name] for x in expected], atol=1e-5, rtol=1e-5
        )


def test_fill_is_the_autoencoding_objective(endpoints, tasks):
    texts = ["the [MASK] fox [MASK].", "red [MASK]", "the dog"]
    outputs = run(endpoints["fill"], text=tf.constant(texts))
    tokenizer = tasks["fill"].preprocessor.tokenizer
    row = [2, 5, 4, 8, 4, 13, 3]
    assert [tokenizer.id_to_token(i) for i in row[1:-1]] == [
        "the", "[MASK]", "fox", "[MASK]", ".",
    ]  # fmt: skip
    ids = np.array([row])
    logits = tasks["fill"](
        {
            "token_ids": ids,
            "segment_ids": 0 * ids,
            "padding_mask": 0 * ids + 1,
            "mask_positions": np.array([[2, 4]]),
            "mask_steps": np.array([[1, 2]]),
            "revealed_token_ids": np.array([[6, 6]]),
        }
    )["ae"]
    probabilities = keras.ops.softmax(logits).numpy()[0]
    best = np.argsort(-probabilities, axis=-1)[:, :5]
    expected = [[tokenizer.id_to_token(i) for i in gap] for gap in best]
    candidates = strings(outputs["candidates"])
    assert candidates[0] == expected
    np.testing.assert_allclose(
        outputs["probabilities"][0],
        np.take_along_axis(probabilities, best, axis=1),
        atol=1e-5,
    )
    # Fewer gaps than another text has are blank.
    assert all(candidates[1][0]) and candidates[1][1] == [""] * 5
    assert not outputs["probabilities"][2].numpy().any()


def test_encode_is_the_backbone(endpoints, tasks):
    ids = np.array([[2, 5, 8, 3]])
    rows = {
        "token_ids": ids,
        "segment_ids": 0 * ids,
        "padding_mask": 0 * ids + 1,
    }
    expected = tasks["generate"].backbone(rows).numpy()[0]
    outputs = run(
        endpoints["encode"], text=tf.constant(["The fox", "the " * 30])
    )
    vectors = outputs["token_vectors"].numpy()
    np.testing.assert_allclose(vectors[0, :4], expected, atol=1e-5)
    assert not vectors[0, 4:].any()
    np.testing.assert_allclose(
        outputs["sentence_vector"][0], expected.mean(axis=0), atol=1e-5
    )
    assert outputs["padding_mask"].numpy().sum(axis=1).tolist() == [4, 32]


def test_ids_refuse_sources_without_positions(endpoints):
    # 40 positions, 8 of them for the target.
    ids = tf.ones([1, 33], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="n <= 32"):
        endpoints["generate"].from_ids(
            encoder_token_ids=ids, encoder_padding_mask=ids
        )


def test_inputs_must_be_as_many(endpoints):
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many"):
        run(
            endpoints["answer"],
            question=tf.constant(["who?"]),
            context=tf.constant(["a", "b"]),
        )


def restarted(sampler):
    """The sampler, its random numbers from their beginning."""
    return type(sampler).from_config(sampler.get_config())


@pytest.mark.slow
def test_a_random_sampler_in_an_export(make_task, texts, tmp_path):
    sampler = keras_hub.samplers.TopKSampler(k=4, seed=3, temperature=0.7)
    task = make_task()
    task.compile(sampler=restarted(sampler))
    source = task.preprocessor.generate_preprocess(texts)
    # As one batch, in this order: random numbers depend on the row.
    expected = task.make_generate_function()(
        source,
        stop_token_ids=(task.preprocessor.tokenizer.end_token_id,),
    )["decoder_token_ids"]
    assert len(np.unique(expected, axis=0)) > 3, "the toy answers all alike"

    task.compile(sampler=restarted(sampler))
    folder = export_model(
        task, tmp_path / "toy", text_signatures=False, check=False
    )
    source = {k: v for k, v in source.items() if k.startswith("encoder")}
    model = tf.saved_model.load(folder)
    outputs = model.signatures["generate_ids"](**source)
    target, mask = outputs["decoder_token_ids"], outputs["decoder_padding_mask"]
    np.testing.assert_array_equal(target, expected)
    logits = task(
        {
            **source,
            "decoder_token_ids": target,
            "decoder_padding_mask": mask,
            "pseudo_token_ids": 4 * mask,
            "decoder_steps": mask * (1 + tf.range(target.shape[1])),
        }
    )
    # The score is that of the teacher-forced pass.
    log_probs = keras.ops.log_softmax(logits / sampler.temperature, axis=-1)
    chosen = np.take_along_axis(
        np.array(log_probs), np.array(target)[..., None], axis=2
    )[..., 0]
    np.testing.assert_allclose(
        outputs["score"], (chosen * np.array(mask)).sum(axis=1), rtol=1e-5
    )


@pytest.mark.slow
def test_greedy_without_an_operation_that_xla_compiles(make_task, texts):
    task = make_task()
    endpoint = Generate(task, sampler="greedy")
    outputs = run(endpoint, text=tf.constant(texts))
    task.compile(sampler="greedy")
    assert strings(outputs["generated_text"]) == task.generate(texts)
    graph = endpoint.traced_compute.get_concrete_function().graph
    assert "Xla" not in str(graph.as_graph_def())


def test_errors_teach(tasks):
    for max_length in (0, 17):
        with pytest.raises(ValueError, match=f"max_length={max_length}"):
            Generate(tasks["generate"], max_length=max_length)
    with pytest.raises(ValueError, match="a loop of its own"):
        Generate(tasks["generate"], sampler=keras_hub.samplers.BeamSampler())
    with pytest.raises(ValueError, match="must be a UniLMv2Seq2SeqLM"):
        Generate(tasks["classify"])
    with pytest.raises(ValueError, match="n_best=0"):
        Answer(tasks["answer"], n_best=0)
    with pytest.raises(ValueError, match="pooling='max'"):
        Encode(tasks["answer"], pooling="max")
    with pytest.raises(ValueError, match="num_candidates=0"):
        Fill(tasks["fill"], num_candidates=0)
