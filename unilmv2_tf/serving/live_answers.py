"""What the live model answers, kept beside the SavedModel to compare with."""

import os

from unilmv2_tf.serving import arrays
from unilmv2_tf.serving import probe_texts
from unilmv2_tf.serving.clean_check import LIVE_ANSWERS
from unilmv2_tf.serving.signature_file import precision

# With fewer digits than float32 has, rows of another width round differently,
# and a choice between equals may fall the other way.
_EXACT = {"tolerance": 1e-5, "rows_that_may_differ": 0.0}
_ROUNDED = {"tolerance": 0.1, "rows_that_may_differ": 0.25}


def write_live_answers(folder, endpoints, text_signatures=True):
    """Asks the tasks themselves what the signatures will be tried with.

    Texts are hostile ones as well, decoded as Python decodes bytes that are no
    UTF-8. Signatures of ids get the rows of the ordinary texts.

    Args:
        folder: string. A SavedModel with `assets.extra`.
        endpoints: list of endpoints, such as `Generate`.
        text_signatures: bool. Whether there are signatures of strings.
            Defaults to `True`.
    """
    stored, notes = {}, {}
    for endpoint in endpoints:
        common = {
            "is_deterministic": endpoint.is_deterministic,
            "num_plain": len(probe_texts.PLAIN),
            **_accuracy(endpoint),
        }
        for name, (_, inputs) in endpoint.text_signatures.items():
            if not text_signatures:
                break
            texts, labels = _texts(endpoint, inputs)
            # The live model takes strings.
            decoded = {
                key: [text.decode(errors="replace") for text in values]
                for key, values in texts.items()
            }
            _store(stored, name, texts, endpoint.live_from_text(**decoded))
            notes[name] = {**common, "labels": labels}
        inputs = next(iter(endpoint.text_signatures.values()))[1]
        texts, _ = _texts(endpoint, inputs)
        plain = {
            key: [text.decode() for text in values[: len(probe_texts.PLAIN)]]
            for key, values in texts.items()
        }
        for name in endpoint.id_signatures:
            _store(
                stored,
                name,
                endpoint.rows_of(**plain),
                endpoint.live_from_ids(**plain),
            )
            notes[name] = common
    notes["main"] = next(iter(notes))
    arrays.save(os.path.join(folder, LIVE_ANSWERS), stored, notes)


def _texts(endpoint, inputs):
    texts = probe_texts.probes(inputs)
    if endpoint.name == "fill":
        texts = {
            name: probe_texts.with_gaps(values)
            for name, values in texts.items()
        }
    labels = [f"text {row + 1}" for row in range(len(probe_texts.PLAIN))]
    return texts, [*labels, *probe_texts.HOSTILE]


def _accuracy(endpoint):
    dtype = precision(endpoint.task.backbone)
    return _EXACT if dtype == "float32" else _ROUNDED


def _store(stored, name, inputs, outputs):
    for part, values in (("in", inputs), ("out", outputs)):
        for key, value in values.items():
            stored[f"{name}/{part}/{key}"] = value
