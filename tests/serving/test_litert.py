"""LiteRT answers as the live model does."""

import numpy as np
import pytest

from unilmv2_tf.serving import Classify
from unilmv2_tf.serving import Encode
from unilmv2_tf.serving import Generate
from unilmv2_tf.serving.litert import export_litert
from unilmv2_tf.serving.litert import run_litert


@pytest.mark.slow
def test_classify_and_encode(tasks, tmp_path):
    endpoints = [Classify(tasks["classify"]), Encode(tasks["classify"])]
    folder = export_litert(endpoints, tmp_path / "lite")
    texts = ["The quick brown fox.", "a red dog, a blue dog?"]
    path = f"{folder}/model.tflite"
    found = run_litert(path, "classify_ids", endpoints[0].live_rows(text=texts))
    expected = tasks["classify"].classify(texts, return_probabilities=True)
    np.testing.assert_allclose(
        found["probabilities"],
        [list(x["probabilities"].values()) for x in expected],
        atol=1e-5,
    )
    names = tasks["classify"].label_names
    assert [names[i] for i in found["label_id"]] == [
        x["label"] for x in expected
    ]
    rows = endpoints[1].live_rows(text=texts)
    found = run_litert(path, "encode_ids", rows)
    vectors = tasks["classify"].backbone(rows).numpy()
    is_token = rows["padding_mask"] > 0
    mine = found["token_vectors"]
    np.testing.assert_allclose(
        mine[is_token[:, : mine.shape[1]]], vectors[is_token], atol=1e-4
    )


def test_errors_teach(tasks, tmp_path):
    with pytest.raises(ValueError, match="LiteRT has classify and encode"):
        export_litert([Generate(tasks["generate"])], tmp_path / "lite")
    with pytest.raises(ValueError, match="quantize='int4'"):
        export_litert([], tmp_path / "lite", quantize="int4")
