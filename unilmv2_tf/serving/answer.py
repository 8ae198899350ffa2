"""Asks a SavedModel, as a server would: without the code that made it.

`ask_saved_model` runs this file by its path, in a process of its own. It reads
`{"folder": ..., "texts": [...], "batch_size": ...}` from standard input and
writes `[[generated_text, score], ...]` to standard output, both JSON.
"""

import os
import sys


def answer(folder, texts, batch_size):
    """Asks the signature `serving_default` for texts, batch by batch.

    Args:
        folder: string. A SavedModel.
        texts: list of strings.
        batch_size: int.

    Returns:
        A list of pairs: the generated text and its score.
    """
    import isolation
    import tensorflow as tf

    isolation.import_text_ops()
    generate = tf.saved_model.load(folder).signatures["serving_default"]
    inputs = sorted(generate.structured_input_signature[1])
    outputs = sorted(generate.structured_outputs)
    if inputs != ["text"] or outputs != ["generated_text", "score"]:
        raise ValueError(
            "The SavedModel must generate text from `text`. Its "
            f"serving_default takes {inputs} and gives {outputs}. Export a "
            "UniLMv2Seq2SeqLM with `text_signatures=True`."
        )
    answers = []
    for start in range(0, len(texts), batch_size):
        outputs = generate(text=tf.constant(texts[start : start + batch_size]))
        answers += zip(
            [text.decode() for text in outputs["generated_text"].numpy()],
            outputs["score"].numpy().tolist(),
        )
    return answers


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    import isolation

    isolation.run(answer)
