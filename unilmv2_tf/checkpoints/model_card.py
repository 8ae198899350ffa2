"""The model card of a preset: where it comes from, and what it is worth."""

import importlib.metadata
import json
import os
import platform
import time

from unilmv2_tf.filesystem import write_text

CARD_NAME = "README.md"
_PACKAGES = ("unilmv2_tf", "keras", "keras-hub", "tensorflow")
_TAGS = {
    "UniLMv2Seq2SeqLM": "text2text-generation",
    "UniLMv2PseudoMaskedLM": "fill-mask",
    "UniLMv2TextClassifier": "text-classification",
    "UniLMv2QuestionAnswerer": "question-answering",
}
_UNKNOWN = "Not noted."


def _read_json(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _table(header, rows):
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _section(title, content):
    if isinstance(content, dict):
        content = _table(("", ""), content.items()) if content else None
    return f"## {title}\n\n{content or _UNKNOWN}\n"


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


def _header(task):
    lines = ["---", "library_name: keras-hub", "tags:", "- unilmv2"]
    if task in _TAGS:
        lines.append(f"pipeline_tag: {_TAGS[task]}")
    return "\n".join([*lines, "---"])


def write_model_card(
    folder, training_data=None, recipe=None, scores=None, source=None
):
    """Writes the model card of a preset, its `README.md`.

    Args:
        folder: str or path of a preset, with its files.
        training_data: str or dict. What the model was trained on. Defaults
            to `None`.
        recipe: str or dict. How it was trained. Defaults to `None`.
        scores: str or dict. What it reaches, and on what. Defaults to `None`.
        source: str or dict. The checkpoint it was made from. Defaults to
            `None`.

    Raises:
        FileNotFoundError: if the folder is no preset.

    Example:

    >>> import tempfile
    >>> from unilmv2_tf import UniLMv2Backbone
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     UniLMv2Backbone.from_preset(
    ...         "unilmv2_tiny", load_weights=False).save_to_preset(folder)
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
            f"{os.fspath(folder)!r}, which has no config.json of one."
        )
    task = _read_json(folder, "task.json").get("class_name", "")
    parameters = _read_json(folder, "metadata.json").get("parameter_count")
    name = task or "UniLMv2Backbone"
    sizes = {
        key: value
        for key, value in config.items()
        if isinstance(value, (int, float)) and key != "trainable"
    }
    usage = (
        f"import unilmv2_tf\n\nmodel = unilmv2_tf.{name}.from_preset("
        f'"path/to/this/folder")'
    )
    parts = [
        _header(task),
        f"# {name}\n",
        "A unified language model: bidirectional encoder and "
        "sequence-to-sequence decoder in one Transformer "
        "([Bao et al., 2020](https://arxiv.org/abs/2002.12804)).\n",
        f"```python\n{usage}\n```\n",
        *([_section("Made from", source)] if source else []),
        _section("Training data", training_data),
        _section("Recipe", recipe),
        _section("Scores", scores),
        _section("Configuration", {"parameters": parameters, **sizes}),
        _section(
            "Versions", {"date": time.strftime("%Y-%m-%d"), **_versions()}
        ),
    ]
    write_text(os.path.join(folder, CARD_NAME), "\n".join(parts))
