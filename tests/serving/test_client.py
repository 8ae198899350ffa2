"""The clean process, where it cannot answer."""

import pytest
import tensorflow as tf

from unilmv2_tf.serving import ask_saved_model


class Echo(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def answer(self, text):
        return {
            "generated_text": tf.strings.upper(text),
            "score": tf.cast(tf.strings.length(text), tf.float32),
        }


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo") / "1"
    module = Echo()
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.answer}
    )
    return folder


def test_any_model_with_the_signature_is_asked_in_order(echo):
    texts = ["a\nb", "", "\U0001f98a \u2028 \x00", "x"]
    answers = ask_saved_model(echo.parent, texts, batch_size=3)
    assert answers == [
        ("A\nB", 3.0), ("", 0.0), ("\U0001f98a \u2028 \x00", 10.0), ("X", 1.0),
    ]  # fmt: skip


def test_the_last_lines_of_a_failure_are_shown(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(RuntimeError, match="Error") as raised:
        ask_saved_model(tmp_path, ["the fox"])
    message = str(raised.value)
    assert str(tmp_path) in message
    assert "ended with status 1" in message
    assert len(message.splitlines()) <= 16


def test_a_model_that_takes_no_texts(tmp_path):
    module = Echo()
    module.double = tf.function(
        lambda ids: {"ids": 2 * ids}, [tf.TensorSpec([None], tf.int32, "ids")]
    )
    tf.saved_model.save(
        module, str(tmp_path), signatures={"serving_default": module.double}
    )
    with pytest.raises(RuntimeError, match="text_signatures=True"):
        ask_saved_model(tmp_path, ["the fox"])


def test_errors_teach(tmp_path, echo):
    for texts in ("the fox", [b"the fox"], [3]):
        with pytest.raises(TypeError, match="`texts` must be a list"):
            ask_saved_model(echo, texts)
    with pytest.raises(ValueError, match="valid Unicode"):
        ask_saved_model(echo, ["\ud800"])
    with pytest.raises(ValueError, match="`batch_size`"):
        ask_saved_model(echo, ["the fox"], batch_size=0)
    with pytest.raises(FileNotFoundError, match="export_model"):
        ask_saved_model(tmp_path, ["the fox"])
