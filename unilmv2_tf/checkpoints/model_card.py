"""The model card of a preset: its source, training and scores."""

import importlib.metadata
import json
import os
import platform
import time

from unilmv2_tf.filesystem import write_text

_PACKAGES = ("unilmv2_tf", "keras", "keras-hub", "tensorflow")
_TAGS = {
    "UniLMv2Seq2SeqLM": "text2text-generation",
    "UniLMv2PseudoMaskedLM": "fill-mask",
    "UniLMv2TextClassifier": "text-classification",
    "UniLMv2QuestionAnswerer": "question-answering",
}
_CARD = """\
---
library_name: keras-hub
tags:
- unilmv2
{tag}---
# {name}

A unified language model: bidirectional encoder and sequence-to-sequence \
decoder in one Transformer \
([Bao et al., 2020](https://arxiv.org/abs/2002.12804)).

```python
import unilmv2_tf

model = unilmv2_tf.{name}.from_preset("path/to/this/folder")
```

{sections}"""


def write_model_card(
    folder: str,
    training_data: str | dict | None = None,
    recipe: str | dict | None = None,
    scores: str | dict | None = None,
    source: str | dict | None = None,
) -> None:
    """Writes the model card of a preset, its `README.md`.

    Args:
        folder: string or path of a preset, with its files.
        training_data: string or dict. What the model was trained on. Defaults
            to `None`.
        recipe: string or dict. How it was trained. Defaults to `None`.
        scores: string or dict. Its scores, and the data they were measured on.
            Defaults to `None`.
        source: string or dict. The checkpoint it was converted from. Defaults
            to `None`.

    Raises:
        FileNotFoundError: If the folder is not a preset.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf import UniLMv2Backbone
    >>> from unilmv2_tf.checkpoints import write_model_card
    >>> backbone = UniLMv2Backbone(
    ...     vocabulary_size=11, num_layers=1, num_heads=2, hidden_dim=4,
    ...     intermediate_dim=8, max_sequence_length=6)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     backbone.save_to_preset(folder)
    ...     write_model_card(folder, scores={"accuracy": 0.9})
    ...     print(open(os.path.join(folder, "README.md")).read())
    ---
    library_name: keras-hub
    ...
    | accuracy | 0.9 |
    ...
    """
    config = _read_json(folder, "config.json").get("config")
    if config is None:
        raise FileNotFoundError(
            "A model card is written into a preset folder. Received: "
            f"{os.fspath(folder)!r}, which has no config.json of a preset."
        )
    name = _read_json(folder, "task.json").get("class_name", "UniLMv2Backbone")
    configuration = {
        "parameters": _read_json(folder, "metadata.json").get(
            "parameter_count"
        ),
        **{
            key: value
            for key, value in config.items()
            if isinstance(value, (int, float)) and key != "trainable"
        },
    }
    sections = {
        **({"Made from": source} if source else {}),
        "Training data": training_data,
        "Recipe": recipe,
        "Scores": scores,
        "Configuration": configuration,
        "Versions": _versions(),
    }
    card = _CARD.format(
        tag=f"pipeline_tag: {_TAGS[name]}\n" if name in _TAGS else "",
        name=name,
        sections="\n".join(
            f"## {title}\n\n{_content(content)}\n"
            for title, content in sections.items()
        ),
    )
    write_text(os.path.join(folder, "README.md"), card)


def _content(content):
    if isinstance(content, dict) and content:
        rows = [f"| {key} | {value} |" for key, value in content.items()]
        return "\n".join(["|  |  |", "| --- | --- |", *rows])
    return content or "Not noted."


def _versions():
    versions = {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _read_json(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)
