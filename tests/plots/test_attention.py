"""The probabilities that are drawn are those of the model's own pass."""

import json
import os

import matplotlib
import numpy as np
import pytest
from scipy.special import erf
from scipy.special import log_softmax
from scipy.special import softmax

from unilmv2_tf import BeamSearchSampler
from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.models.seq_2_seq_lm import target_attention
from unilmv2_tf.plots import plot_attention

WORDS = "the a quick brown fox jumped $ .".split()


def values(variable):
    return np.array(variable, "float64")


def apply(dense, x):
    return x @ values(dense.kernel) + values(dense.bias)


def normalise(layer, x):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + layer.epsilon)
    return x * values(layer.gamma) + values(layer.beta)


def gelu(x):
    return x * (1 + erf(x / np.sqrt(2))) / 2


def dense_pass(task, source, target):
    """The whole row under the full mask, in NumPy.

    Returns the probabilities of every layer at the pseudo masks, and the
    log-probabilities of the tokens.
    """
    n, m = len(source), len(target)
    steps = np.arange(1, m + 1)
    steps = np.concatenate([np.zeros(n, int), steps, -steps])
    positions = np.concatenate([np.arange(n), *[n + np.arange(m)] * 2])
    q, k = steps[:, None], steps[None]
    visible = np.where(
        q >= 0, (k >= 0) & (k <= q), (k >= 0) & (k < -q) | (k == q)
    )
    embeddings = task.backbone.embeddings
    table = values(task.backbone.token_embedding.embeddings)
    ids = np.concatenate([source, target, [task.pseudo_token_id] * m])
    segments = np.where(np.arange(n + 2 * m) < n, 0, task.target_segment_id)
    x = table[ids] + values(embeddings.position_embedding.embeddings)[positions]
    x = x + values(embeddings.segment_embedding.embeddings)[segments]
    x = normalise(embeddings.layer_norm, x)
    relative = np.array(
        task.backbone.relative_position_bias(positions[None], positions[None])
    )[0]
    bias = relative + np.where(visible, 0, -np.inf)
    probabilities = []
    for block in task.backbone.transformer_layers:
        attention = block.self_attention

        def heads(dense, x=x, attention=attention):
            x = apply(dense, x).reshape(len(x), attention.num_heads, -1)
            return x.transpose(1, 0, 2)

        query, key, value = map(
            heads, (attention.query, attention.key, attention.value)
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(query.shape[-1])
        probabilities.append(softmax(scores + bias, axis=-1))
        merged = (probabilities[-1] @ value).transpose(1, 0, 2)
        merged = apply(attention.output_dense, merged.reshape(len(x), -1))
        x = normalise(block.self_attention_layer_norm, x + merged)
        inner = gelu(apply(block.intermediate_dense, x))
        x = normalise(
            block.output_layer_norm, x + apply(block.output_dense, inner)
        )
    logits = task.language_model_head(x[None, n + m :].astype("float32"))
    return (
        [layer[:, n + m :] for layer in probabilities],
        log_softmax(np.array(logits, "float64")[0], axis=-1),
    )


@pytest.fixture(scope="module")
def golden_task(golden_dir):
    case = golden_dir / "tiny_relpos"
    meta = json.loads((case / "meta.json").read_text())
    return load_checkpoint(
        case / "model.safetensors",
        UniLMv2Seq2SeqLM,
        config=case / "config.json",
        pseudo_token_id=meta["mask_id"],
    )


@pytest.fixture(scope="module")
def golden(golden_dir):
    with np.load(golden_dir / "tiny_relpos" / "golden.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def task():
    tokenizer = UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    )
    task = UniLMv2Seq2SeqLM(
        UniLMv2Backbone(13, 2, 2, 8, 12, max_sequence_length=32),
        UniLMv2Seq2SeqLMPreprocessor(
            tokenizer,
            encoder_sequence_length=9,
            decoder_sequence_length=6,
            seed=1,
        ),
        sampler=BeamSearchSampler(
            3,
            min_length=4,
            no_repeat_ngram_size=1,
            forbidden_token_ids=(0, 1, 2, 4),
            num_return_sequences=2,
        ),
    )
    rng = np.random.default_rng(3)
    for weight in task.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return task


@pytest.mark.parametrize("row", [0, 2])
def test_probabilities_of_the_authors_pass(golden_task, golden, row):
    length = golden["dec_num_source_tokens"][row]
    source = golden["dec_input_ids"][row, :length]
    target = golden["tf_target_ids"][row]
    expected, log_probs = dense_pass(golden_task, source, target)
    # What the expected probabilities lead to is what the authors' code gives.
    np.testing.assert_allclose(
        log_probs, golden["tf_logp_f64"][row], rtol=1e-5, atol=1e-5
    )
    for layer, of_layer in enumerate(expected):
        actual = target_attention(golden_task, source, target, layer)
        np.testing.assert_allclose(actual, of_layer, rtol=1e-4, atol=1e-6)
    last = target_attention(golden_task, source, target)
    np.testing.assert_array_equal(last, actual)


def labels(axis_labels):
    return [label.get_text() for label in axis_labels]


@pytest.mark.parametrize("head", [None, 1])
def test_the_picture_of_a_given_target(task, head):
    source = ["[CLS]", "the", "quick", "$", "fox", "[SEP]"]
    figure = plot_attention(
        task, "the quick $ fox", "the fox .", layer=0, head=head
    )
    axes = figure.axes[0]
    assert labels(axes.get_xticklabels()) == source
    assert labels(axes.get_yticklabels()) == ["the", "fox", ".", "[SEP]"]
    tokenizer = task.preprocessor.tokenizer
    probabilities = np.array(
        target_attention(
            task,
            [tokenizer.token_to_id(token) for token in source],
            [tokenizer.token_to_id(t) for t in ("the", "fox", ".", "[SEP]")],
            layer=0,
        )
    )
    shown = probabilities.mean(0) if head is None else probabilities[head]
    np.testing.assert_allclose(
        axes.images[0].get_array(), shown[:, :6], rtol=1e-6
    )
    # The rest goes to what of the target is visible.
    shares = [text.get_text() for text in axes.texts][:-1]
    assert shares == [f"{x:.0%}" for x in shown[:, 6:].sum(axis=1)]
    assert not np.triu(shown[:, 6:10]).any()
    assert (np.diag(shown[:, 10:]) > 0).all()


def test_a_target_is_generated(task, tmp_path):
    path = tmp_path / "new folder" / "attention.png"
    # Longer than a row, which has nine tokens.
    figure = plot_attention(task, "the quick " * 9, path=path)
    axes = figure.axes[0]
    assert axes.images[0].get_array().shape[1] == 9
    words = [
        token for token in labels(axes.get_yticklabels()) if token in WORDS
    ]
    assert len(set(words)) > 2
    # The best of two.
    assert " ".join(words) == task.generate("the quick " * 9)[0]
    assert os.listdir(path.parent) == ["attention.png"]
    assert matplotlib.image.imread(path).ndim == 3


def test_errors_teach(task, golden_task):
    with pytest.raises(ValueError, match=r"`head` must be in \[0, 2\)"):
        plot_attention(task, "the fox", "the", head=2)
    for layer in (2, -3):
        with pytest.raises(ValueError, match=r"`layer` must be in \[-2, 2\)"):
            plot_attention(task, "the fox", "the", layer=layer)
    with pytest.raises(ValueError, match="must have a preprocessor"):
        plot_attention(golden_task, "the fox")
    with pytest.raises(ValueError, match="at least one token"):
        target_attention(golden_task, [2, 3], [])
