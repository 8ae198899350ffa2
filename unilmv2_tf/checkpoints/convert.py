import os
import re
import warnings

from unilmv2_tf import models
from unilmv2_tf.checkpoints import save_official
from unilmv2_tf.checkpoints.checksums import file_checksum
from unilmv2_tf.checkpoints.official import build_model
from unilmv2_tf.checkpoints.positions import check_positions
from unilmv2_tf.checkpoints.positions import with_positions
from unilmv2_tf.checkpoints.presets import load_preset
from unilmv2_tf.checkpoints.presets import read_left_out
from unilmv2_tf.checkpoints.presets import write_preset
from unilmv2_tf.checkpoints.sources import is_own_preset
from unilmv2_tf.checkpoints.sources import open_checkpoint
from unilmv2_tf.checkpoints.streaming import convert_to_preset
from unilmv2_tf.checkpoints.tokenizers import load_tokenizer

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
    """Brings a checkpoint in as a preset, or takes a preset out.

    Args:
        source: A file of weights (.bin, .safetensors), a folder with one, a
            TensorFlow checkpoint, a BERT preset of KerasHub's or its handle;
            or a preset of ours.
        output: The folder to write.
        vocabulary: The vocabulary file. Without it, vocab.txt beside the
            weights.
        config: The model's configuration, a JSON file. Without it, config.json
            beside the weights, or what tensors and file name tell.
        positions: The number of positions, for longer or shorter inputs.
            Without it, those there are.
        position_method: How positions are added, cyclic (the authors' way) or
            interpolate.
        lowercase: Whether text is lowercased. Without it, as the checkpoint
            says.
        target: preset or official. Without it, official for a preset of ours,
            preset for anything else.
        layout: Names of the tensors in an official folder, bert, fused or
            s2s_ft.
        torch_file: Whether an official folder gets pytorch_model.bin as well.
        overwrite: Whether to replace a folder that is there.
    """
    own = is_own_preset(source)
    target = target or ("official" if own else "preset")
    _check_arguments(source, output, target, overwrite)
    if positions is not None:
        check_positions(positions, position_method)
    resizing = {"positions": positions, "position_method": position_method}
    saving = {"layout": layout, "torch_file": torch_file}
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always", UserWarning)
        if own:
            cls, placements = _take_out(
                source, output, target, resizing, saving
            )
        else:
            text = {"vocabulary": vocabulary, "lowercase": lowercase}
            cls, placements = _bring_in(
                source, output, config, text, target, resizing, saving
            )
    _print_report(placements, noted)
    print(f"{cls.__name__} written to {output}")


def _check_arguments(source, output, target, overwrite):
    if target not in ("preset", "official"):
        raise ValueError(
            f"`target` must be preset or official. Received: {target!r}"
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


def _take_out(source, output, target, resizing, saving):
    model, tokenizer = load_preset(source)
    left_out = read_left_out(source)
    if resizing["positions"] is not None:
        model = with_positions(model, *resizing.values())
    if target == "preset":
        name = os.path.basename(os.path.normpath(source))
        write_preset(
            model, output, tokenizer, left_out, source={"preset": name}
        )
    else:
        save_official(
            model,
            output,
            tokenizer=tokenizer,
            more_tensors=left_out,
            **saving,
        )
    return type(model), ()


def _bring_in(source, output, config, text, target, resizing, saving):
    checkpoint = open_checkpoint(source, config)
    tokenizer = load_tokenizer(source, checkpoint.config["vocab_size"], **text)
    cls, arguments = _choose_class(checkpoint.weights), {}
    if cls is not models.UniLMv2Backbone:
        length = resizing["positions"]
        if length is None:
            length = checkpoint.config["max_position_embeddings"]
        arguments["preprocessor"] = cls.default_preprocessor(tokenizer, length)
    arguments |= resizing
    if target == "preset":
        card = {"source": _origin(source, checkpoint)}
        placements = convert_to_preset(
            checkpoint, cls, output, tokenizer, card=card, **arguments
        )
    else:
        model, placements = build_model(checkpoint, cls, **arguments)
        save_official(model, output, tokenizer=tokenizer, **saving)
    return cls, placements


def _origin(source, checkpoint):
    origin = {
        "checkpoint": os.path.basename(os.path.normpath(source)),
        "kind": checkpoint.kind,
    }
    if os.path.isfile(checkpoint.path):
        origin["SHA-256"] = file_checksum(checkpoint.path)
    return origin


def _choose_class(weights):
    """The class whose head the checkpoint holds."""
    if {"classifier.weight", "pooler.dense.weight"} <= weights.arrays.keys():
        return models.UniLMv2TextClassifier
    if "qa_outputs.weight" in weights.arrays:
        return models.UniLMv2QuestionAnswerer
    if weights.has_language_model_head:
        return models.UniLMv2Seq2SeqLM
    return models.UniLMv2Backbone


def _print_report(placements, noted):
    """Prints what went where, layers of a kind in one line."""
    lines = {}
    for placement in placements:
        names = [placement.source, str(placement.shape), placement.destination]
        key = tuple(_LAYER.sub("*", name) for name in names)
        lines[key] = lines.get(key, 0) + 1
    width = max((len(source) for source, _, _ in lines), default=0)
    for (source, shape, destination), count in lines.items():
        times = f"{count} x " if count > 1 else ""
        print(f"{source:{width}}  {times}{shape}  -> {destination}")
    for warning in noted:
        if issubclass(warning.category, UserWarning):
            print(f"note: {warning.message}")
