"""`unilmv2 convert`: checkpoints to presets, and presets to checkpoints."""

import json
import os
import re
import warnings

from unilmv2_tf import models
from unilmv2_tf.checkpoints.loading import build_model
from unilmv2_tf.checkpoints.loading import check_positions
from unilmv2_tf.checkpoints.loading import open_checkpoint
from unilmv2_tf.checkpoints.loading import with_positions
from unilmv2_tf.checkpoints.readers import is_own_preset
from unilmv2_tf.checkpoints.readers import load_tokenizer
from unilmv2_tf.checkpoints.readers import read_tensors
from unilmv2_tf.checkpoints.readers import write_safetensors
from unilmv2_tf.checkpoints.saving import save_checkpoint
from unilmv2_tf.checkpoints.saving import write_model_card
from unilmv2_tf.filesystem import file_checksum
from unilmv2_tf.filesystem import replacing
from unilmv2_tf.filesystem import write_text
from unilmv2_tf.models.task import load_task
from unilmv2_tf.preprocessing import UniLMv2Tokenizer

# Tensors of a checkpoint that a preset has no variable for. `convert` writes
# them again into the checkpoint made from the preset.
_LEFT_OUT_NAME = "left_out.safetensors"
_LAYER = re.compile(r"(?<=layer[._])\d+(?=[./])")


def convert(
    source: str,
    output: str = "converted",
    vocabulary: str | None = None,
    config: str | None = None,
    positions: int | None = None,
    position_method: str = "cyclic",
    lowercase: bool | None = None,
    target: str | None = None,
    layout: str = "bert",
    torch_file: bool = False,
    overwrite: bool = False,
):
    """Converts a checkpoint to a preset, or a preset to a checkpoint.

    Args:
        source: A file of weights (.bin, .safetensors), a folder with one, a
            TensorFlow checkpoint, a BERT preset of KerasHub or its handle, or
            a preset of this package.
        output: The folder to write.
        vocabulary: The vocabulary file. Defaults to vocab.txt beside the
            weights.
        config: The model's configuration, a JSON file. Defaults to config.json
            beside the weights, or what tensors and file name tell.
        positions: The number of positions, for longer or shorter inputs.
            Defaults to that of the source.
        position_method: How positions are added, cyclic (as the authors do) or
            interpolate.
        lowercase: Whether the tokenizer lowercases text. Defaults to what the
            checkpoint says.
        target: preset or checkpoint. Defaults to checkpoint for a preset of
            this package, to preset for any other source.
        layout: Names of the tensors in a checkpoint, bert, fused or s2s_ft.
        torch_file: Whether to write pytorch_model.bin as well.
        overwrite: Whether to replace an existing folder.
    """
    is_own = is_own_preset(source)
    target = target or ("checkpoint" if is_own else "preset")
    _check_arguments(source, output, target, overwrite)
    if positions is not None:
        check_positions(positions, position_method)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        if is_own:
            model, tokenizer = _load_own_preset(source)
            path = os.path.join(source, _LEFT_OUT_NAME)
            left_out = read_tensors(path) if os.path.exists(path) else {}
            placements = ()
            origin = {"preset": os.path.basename(os.path.normpath(source))}
            if positions is not None:
                model = with_positions(model, positions, position_method)
        else:
            checkpoint = open_checkpoint(source, config)
            tokenizer = load_tokenizer(
                source, checkpoint.config["vocab_size"], vocabulary, lowercase
            )
            model, placements = _build(
                checkpoint, tokenizer, positions, position_method
            )
            left_out = {
                placement.source: checkpoint.tensors[placement.source]
                for placement in placements
                if not placement.is_used and target == "preset"
            }
            origin = {
                "checkpoint": os.path.basename(os.path.normpath(source)),
                "kind": checkpoint.kind,
            }
            if os.path.isfile(checkpoint.path):
                origin["SHA-256"] = file_checksum(checkpoint.path)
        if target == "preset":
            _write_preset(
                output, model, tokenizer, left_out, placements, origin
            )
        else:
            save_checkpoint(
                model, output, layout, torch_file, tokenizer, left_out
            )
    _print_report(placements, notes)
    print(f"{type(model).__name__} written to {output}")


def _check_arguments(source, output, target, overwrite):
    if target not in ("preset", "checkpoint"):
        raise ValueError(
            f"`target` must be preset or checkpoint. Received: {target!r}"
        )
    if os.path.exists(output) and os.path.exists(source):
        if os.path.samefile(output, source):
            raise ValueError(
                "`output` must be another folder than `source`. Received: "
                f"{output!r}"
            )
    if os.path.isfile(output) or (
        os.path.isdir(output) and os.listdir(output) and not overwrite
    ):
        raise ValueError(
            f"{output!r} exists. Choose another `output`, or replace the "
            "folder with --overwrite true."
        )


def _load_own_preset(folder):
    """The model in a preset, of any class, and its tokenizer or `None`."""
    if os.path.exists(os.path.join(folder, "task.json")):
        model = load_task(folder)
    else:
        model = models.UniLMv2Backbone.from_preset(folder)
    preprocessor = getattr(model, "preprocessor", None)
    tokenizer = getattr(preprocessor, "tokenizer", None)
    if tokenizer is None and os.path.exists(
        os.path.join(folder, "tokenizer.json")
    ):
        tokenizer = UniLMv2Tokenizer.from_preset(folder)
    return model, tokenizer


def _build(checkpoint, tokenizer, positions, position_method):
    names = checkpoint.arrays.keys()
    if {"classifier.weight", "pooler.dense.weight"} <= names:
        cls = models.UniLMv2TextClassifier
    elif "qa_outputs.weight" in names:
        cls = models.UniLMv2QuestionAnswerer
    elif any(name.startswith("cls.predictions.") for name in names):
        cls = models.UniLMv2Seq2SeqLM
    else:
        cls = models.UniLMv2Backbone
    kwargs = {}
    if cls is not models.UniLMv2Backbone:
        length = positions or checkpoint.config["max_position_embeddings"]
        kwargs["preprocessor"] = cls.default_preprocessor(tokenizer, length)
    return build_model(checkpoint, cls, positions, position_method, **kwargs)


def _write_preset(folder, model, tokenizer, left_out, placements, origin):
    with replacing(folder) as temporary:
        os.mkdir(temporary)
        model.save_to_preset(temporary)
        if tokenizer is not None:
            tokenizer.save_to_preset(temporary)
        if left_out:
            write_safetensors(os.path.join(temporary, _LEFT_OUT_NAME), left_out)
        if placements:
            rows = [placement._asdict() for placement in placements]
            write_text(
                os.path.join(temporary, "conversion.json"),
                json.dumps(rows, indent=1) + "\n",
            )
        write_model_card(temporary, source=origin)


def _print_report(placements, notes):
    """Prints where each tensor went, equal layers in one line."""
    lines = {}
    for source, shape, destination, _ in placements:
        key = (_LAYER.sub("*", source), shape, _LAYER.sub("*", destination))
        lines[key] = lines.get(key, 0) + 1
    width = max((len(source) for source, _, _ in lines), default=0)
    for (source, shape, destination), count in lines.items():
        times = f"{count} x " if count > 1 else ""
        print(f"{source:{width}}  {times}{shape}  -> {destination}")
    messages = [
        str(note.message)
        for note in notes
        if issubclass(note.category, UserWarning)
    ]
    for message in dict.fromkeys(messages):
        print(f"note: {message}")
