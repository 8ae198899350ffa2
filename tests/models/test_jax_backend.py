"""The same models under JAX, in a process of their own.

TensorFlow saves weights, inputs and what it makes of them; JAX loads the
weights and has to come to the same, where TensorFlow cannot be imported.
"""

import inspect
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier

pytest.importorskip("jax")


def run_everything(masked_lm, seq_2_seq_lm, classifier, answerer, arrays):
    """Forward passes, training steps and generation, as one dict of arrays.

    The other process runs this source, so it imports what it needs.
    """
    import keras
    import keras_hub
    import numpy as np

    from unilmv2_tf import BeamSearchSampler

    def part(prefix):
        return {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }

    results = {}
    masked, pair, sources = part("masked_"), part("pair_"), part("source_")
    for name, logits in masked_lm(masked).items():
        results[f"{name}_logits"] = logits
    results["target_logits"] = seq_2_seq_lm(pair)

    row = {name: masked[name] for name in classifier.input}
    results["class_logits"] = classifier(row)
    classifier.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1))
    results["classifier_losses"] = [
        classifier.train_on_batch(row, np.array([1, 2]))[0] for _ in range(3)
    ]

    for name, logits in answerer(row).items():
        results[f"{name}_logits"] = logits

    stop_token_ids = (6, 9, 12)
    for name, sampler in (
        (
            "beam",
            BeamSearchSampler(
                num_beams=3,
                length_penalty=0.7,
                min_length=1,
                no_repeat_ngram_size=2,
                ignored_token_ids=(7,),
                return_scores=True,
            ),
        ),
        ("several", BeamSearchSampler(4, num_return_sequences=3)),
        ("greedy", "greedy"),
        ("keras_hub_beam", keras_hub.samplers.BeamSampler()),
    ):
        seq_2_seq_lm.compile(sampler=sampler)
        outputs = seq_2_seq_lm.generate(sources, stop_token_ids=stop_token_ids)
        for key, value in outputs.items():
            results[f"{name}_{key}"] = value

    masked_lm.compile(keras.optimizers.AdamW(0.01, weight_decay=0.1))
    results["losses"] = [
        masked_lm.train_on_batch(
            masked,
            masked["revealed_token_ids"],
            sample_weight=(masked["mask_steps"] > 0).astype("float32"),
        )[0]
        for _ in range(3)
    ]
    for weight in masked_lm.trainable_weights:
        # Rounding alone moves a weight that has no gradient.
        if not weight.path.endswith("key/bias"):
            results[f"trained {weight.path}"] = weight
    return {
        name: np.asarray(keras.ops.convert_to_numpy(value))
        for name, value in results.items()
    }


JAX_PROCESS = """
import pathlib
import sys

# As on a machine without TensorFlow.
for name in ("tensorflow", "tensorflow_text"):
    sys.modules[name] = None

import keras
import numpy as np

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2Seq2SeqLMPreprocessor
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2Tokenizer

{source}

assert keras.backend.backend() == "jax"
folder = pathlib.Path(sys.argv[1])
tasks = []
for task_class in (
    UniLMv2PseudoMaskedLM, UniLMv2Seq2SeqLM, UniLMv2TextClassifier,
    UniLMv2QuestionAnswerer,
):
    name = task_class.__name__
    task = task_class.from_preset(str(folder / name), load_weights=False)
    task.load_weights(folder / (name + ".weights.h5"))
    tasks.append(task)
arrays = dict(np.load(folder / "arrays.npz"))
np.savez(folder / "jax.npz", **run_everything(*tasks, arrays))

tokenizer = UniLMv2Tokenizer(
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fox", "##es"]
)
preprocessor = UniLMv2Seq2SeqLMPreprocessor(tokenizer, 8, 4)
answer = {{
    "decoder_token_ids": np.array([[5, 6, 3, 0]]),
    "decoder_padding_mask": np.array([[1, 1, 1, 0]]),
}}
assert list(preprocessor.generate_postprocess(answer)) == ["foxes"]
try:
    preprocessor.generate_preprocess(["fox"])
except ImportError as error:
    assert "Install tensorflow" in str(error), error
else:
    raise AssertionError("text became rows without TensorFlow")
"""


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    padding_mask = (np.arange(8) < [[8], [5]]).astype("int32")
    target_mask = (np.arange(6) < [[6], [4]]).astype("int32")
    token_ids = rng.integers(5, 19, (2, 8)) * padding_mask
    source = {
        "encoder_token_ids": token_ids,
        "encoder_padding_mask": padding_mask,
    }
    prefix = np.zeros((2, 7), "int32")
    prefix[0, :2] = (8, 8)
    inputs = {
        "masked_": {
            "token_ids": token_ids,
            "segment_ids": (np.arange(8) > 3) * padding_mask,
            "padding_mask": padding_mask,
            "mask_positions": np.array([[1, 2, 4, 7], [0, 3, 0, 0]]),
            "mask_steps": np.array([[2, 2, 1, 3], [1, 2, 0, 0]]),
            "revealed_token_ids": rng.integers(5, 19, (2, 4)),
        },
        "pair_": {
            **source,
            "decoder_token_ids": rng.integers(5, 19, (2, 6)) * target_mask,
            "decoder_padding_mask": target_mask,
            "pseudo_token_ids": 4 * target_mask,
            "decoder_steps": np.arange(1, 7) * target_mask,
        },
        "source_": {
            **source,
            "decoder_token_ids": prefix,
            "decoder_padding_mask": (prefix > 0).astype("int32"),
        },
    }
    return {
        f"{prefix}{name}": ids.astype("int32")
        for prefix, part in inputs.items()
        for name, ids in part.items()
    }


@pytest.mark.slow
def test_jax_equals_tensorflow(make_backbone, randomize, arrays, tmp_path):
    assert keras.backend.backend() == "tensorflow"
    tasks = []
    for task_class, arguments in (
        (UniLMv2PseudoMaskedLM, {"pseudo_token_id": 4}),
        (UniLMv2Seq2SeqLM, {"pseudo_token_id": 4}),
        (UniLMv2TextClassifier, {"num_classes": 3, "dropout": 0.0}),
        (UniLMv2QuestionAnswerer, {}),
    ):
        name = task_class.__name__
        backbone = make_backbone(num_segments=3, dropout=0.0)
        task = randomize(task_class(backbone, **arguments), scale=0.3)
        task.save_to_preset(str(tmp_path / name))
        task.save_weights(tmp_path / f"{name}.weights.h5")
        tasks.append(task)
    np.savez(tmp_path / "arrays.npz", **arrays)
    expected = run_everything(*tasks, arrays)

    subprocess.run(
        [
            sys.executable,
            "-c",
            JAX_PROCESS.format(source=inspect.getsource(run_everything)),
            str(tmp_path),
        ],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        cwd=tmp_path,
        check=True,
        timeout=600,
    )
    with np.load(tmp_path / "jax.npz") as results:
        actual = dict(results)
    assert actual.keys() == expected.keys()
    assert (expected["beam_decoder_token_ids"][0, :2] == 8).all()
    for name, value in expected.items():
        if value.dtype.kind in "iub":
            np.testing.assert_array_equal(actual[name], value, name)
        else:
            # Adam divides by the root of small numbers.
            tolerance = 1e-3 if name.startswith("trained") else 1e-5
            np.testing.assert_allclose(
                actual[name], value, tolerance, tolerance, err_msg=name
            )
