"""Checkpoints as people have them: old, wrapped, with other heads."""

import collections
import json
import pathlib
import pickle
import shutil
import warnings

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from safetensors.numpy import save_file
from tokenizers import BertWordPieceTokenizer

from unilmv2_tf import UniLMv2Backbone
from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf import UniLMv2QuestionAnswerer
from unilmv2_tf import UniLMv2Seq2SeqLM
from unilmv2_tf import UniLMv2TextClassifier
from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints import save_checkpoint
from unilmv2_tf.checkpoints.pytorch_files import read_pytorch_file
from unilmv2_tf.cli import main

torch = pytest.importorskip("torch")

CASES = pathlib.Path(__file__).parents[1] / "data" / "cases"
OLD = CASES / "01_old_pytorch"
TABLE = "bert.embeddings.word_embeddings.weight"
DECODER = "cls.predictions.decoder.weight"


def assert_same_tensors(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, values in expected.items():
        assert tensors[name].dtype == values.dtype
        np.testing.assert_array_equal(tensors[name], values)


def assert_same_weights(model, other):
    for one, two in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.fixture
def convert(tmp_path, capsys):
    """Runs the command and returns status, output and the new folder."""

    def run(source, *arguments):
        out = tmp_path / "converted"
        shutil.rmtree(out, ignore_errors=True)
        status = main(
            ["convert", str(source), "--output", str(out), *arguments]
        )
        printed = capsys.readouterr()
        if status:
            assert printed.err.count("\n") == 1
        return status, printed.out + printed.err, out

    return run


@pytest.fixture
def plain():
    """Weights of a tiny BERT with the head of a language model."""
    return read_pytorch_file(CASES / "02_wrapped_names" / "plain.bin")


@pytest.fixture
def folder(tmp_path):
    """Writes weights and the configuration of the tiny BERT."""

    def write(tensors, **changes):
        path = tmp_path / "source"
        path.mkdir(exist_ok=True)
        save_file(
            {k: np.ascontiguousarray(v) for k, v in tensors.items()},
            path / "model.safetensors",
        )
        case = CASES / "02_wrapped_names"
        config = json.loads((case / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**config, **changes}))
        shutil.copy(case / "vocab.txt", path)
        return path

    return write


# === PyTorch before 1.6 ===


def test_old_files_hold_the_tensors_of_the_new_format(convert):
    new = {
        name: values.numpy()
        for name, values in torch.load(OLD / "new.bin").items()
    }
    for name in ("new.bin", "old.bin", "old_view.bin"):
        assert_same_tensors(read_pytorch_file(OLD / name), new)
    halves = {k: v.astype("float16") for k, v in new.items()}
    assert_same_tensors(read_pytorch_file(OLD / "old_half.bin"), halves)
    old = read_pytorch_file(OLD / "old.bin")
    assert np.shares_memory(old[DECODER], old[TABLE])
    status, _, out = convert(OLD / "old.bin")
    assert status == 0
    task = UniLMv2Seq2SeqLM.from_preset(str(out))
    np.testing.assert_array_equal(
        task.backbone.token_embedding.embeddings.numpy(), new[TABLE]
    )
    status, text, _ = convert(OLD / "old_cut.bin")
    assert status == 2 and "ends early" in text
    assert main(["inspect", str(OLD / "old.bin")]) == 0


def old_state():
    """All that old files may hold: dtypes, views, scalars, parameters."""
    rng = np.random.default_rng(0)
    whole = torch.from_numpy(rng.normal(size=(6, 10)).astype("float32"))
    state = collections.OrderedDict(
        {
            "part": whole[2:4, 3:],
            "transposed": whole.t(),
            "expanded": torch.arange(5).expand(3, 5),
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "empty": torch.zeros(0, 4),
            "brain": whole.bfloat16(),
            "half": whole.half()[:, 1],
            "parameter": torch.nn.Parameter(whole[1:2]),
            "flags": torch.tensor([True, False]),
            "bytes": torch.arange(7, dtype=torch.uint8)[::3],
        }
    )
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("is_old", [False, True])
def test_every_kind_of_tensor(is_old, protocol, tmp_path):
    state = old_state()
    path = tmp_path / "state.bin"
    torch.save(
        state,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not is_old,
    )
    tensors = read_pytorch_file(path)
    assert tensors.keys() == state.keys()
    for name, values in state.items():
        values = values.detach()
        if name == "brain":
            assert tensors[name].dtype.name == "bfloat16"
            tensors[name] = tensors[name].astype("float32")
            values = values.float()
        assert tensors[name].dtype == values.numpy().dtype
        np.testing.assert_array_equal(tensors[name], values.numpy())
    assert np.shares_memory(tensors["part"], tensors["transposed"])


def test_storages_of_graphics_cards_and_views_of_storages(tmp_path, writer):
    """PyTorch before 0.4 wrote parts of a storage as storages."""
    values = np.arange(10, dtype="float32")
    storage = b"".join(
        (
            b"(",
            writer.plain("storage"),
            writer.name("torch", "FloatStorage"),
            writer.plain("root"),
            writer.plain("cuda:0"),
            writer.plain(10),
            writer.plain(("view", 4, 5)),
            b"tQ",
        )
    )
    tensor = writer.tensor(storage, (2,), (2,), offset=1).replace(
        b"_rebuild_tensor_v2", b"_rebuild_tensor"
    )
    system = {"protocol_version": 1001, "little_endian": True}
    path = tmp_path / "state.pt"
    path.write_bytes(
        pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        + pickle.dumps(1001, 2)
        + pickle.dumps(system, 2)
        + writer.dictionary({"weight": tensor})
        + pickle.dumps(["root"], 2)
        + np.int64(10).tobytes()
        + values.tobytes()
    )
    np.testing.assert_array_equal(read_pytorch_file(path)["weight"], [5, 7])
    content = path.read_bytes().replace(b"little_endian\x94\x88", b"?")
    path.write_bytes(content.replace(b"\x88", b"\x89", 1))
    with pytest.raises(ValueError, match="little-endian"):
        read_pytorch_file(path)


def test_damaged_old_files(tmp_path):
    """500 files: an error, other names, or the same tensors."""
    whole = (OLD / "old.bin").read_bytes()
    expected = read_pytorch_file(OLD / "old.bin")
    is_structure = np.ones(len(whole), bool)
    for values in expected.values():
        place = whole.rfind(values.tobytes())
        is_structure[place : place + values.nbytes] = False
    places = np.flatnonzero(is_structure)
    path = tmp_path / "damaged.bin"
    rng = np.random.default_rng(0)
    refused = 0
    for number in range(500):
        content = bytearray(whole)
        if number % 5:
            content[rng.choice(places)] ^= rng.integers(1, 256)
        else:
            content = content[: rng.integers(len(content))]
        path.write_bytes(content)
        try:
            tensors = read_pytorch_file(path)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        # A name that is another one is refused when a model is built.
        if tensors.keys() == expected.keys():
            assert_same_tensors(tensors, expected)
    assert refused > 350


def test_too_long_old_files_are_refused(tmp_path):
    path = tmp_path / "long.bin"
    path.write_bytes((OLD / "old.bin").read_bytes() + b"\0")
    with pytest.raises(ValueError, match="too long"):
        read_pytorch_file(path)


# === Wrapped names ===


@pytest.mark.parametrize(
    "name, notes",
    [
        ("module.bin", ["'module.' was taken off"]),
        ("state_dict.bin", ["checkpoint['state_dict']", "epoch"]),
        ("both.bin", ["'module.' was taken off", "global_step"]),
    ],
)
def test_wrapped_names(name, notes, convert):
    case = CASES / "02_wrapped_names"
    status, text, out = convert(case / name)
    assert status == 0 and all(note in text for note in notes)
    expected = load_checkpoint(
        case / "plain.bin", UniLMv2Seq2SeqLM, pseudo_token_id=4
    )
    assert_same_weights(UniLMv2Seq2SeqLM.from_preset(str(out)), expected)


@pytest.mark.parametrize(
    "prefix, stripped",
    [
        ("bert_model.", "bert."),
        ("model.encoder.", ""),
        ("bert.", ""),
        ("_orig_mod.module.", ""),
    ],
)
def test_any_prefix(prefix, stripped, plain, folder):
    """Also where the model has no prefix of its own, or twice the same."""
    expected = load_checkpoint(folder(plain), UniLMv2Backbone)
    wrapped = {
        prefix + name.removeprefix(stripped): values
        for name, values in plain.items()
        if name != DECODER
    }
    with pytest.warns(UserWarning, match="was taken off 2"):
        model = load_checkpoint(folder(wrapped), UniLMv2Backbone)
    assert_same_weights(model, expected)


def test_prefixes_that_do_not_help(plain, folder):
    wrapped = {f"net.{name}": values for name, values in plain.items()}
    del wrapped["net.bert.encoder.layer.0.output.dense.bias"]
    with pytest.raises(ValueError, match=r"begin with 'net\.'") as caught:
        load_checkpoint(folder(wrapped), UniLMv2Backbone)
    assert "lacks 1 of 21" in str(caught.value)
    other = {f"gpt.h.{number}.weight": np.ones(8, "f") for number in range(30)}
    with pytest.raises(ValueError, match=r"begin with 'gpt\.'") as caught:
        load_checkpoint(folder(other), UniLMv2Backbone)
    assert len(str(caught.value)) < 800
    two = {**plain, **{f"ema.{name}": plain[name] for name in plain}}
    with pytest.raises(ValueError, match=r"no place.*'ema\.bert"):
        load_checkpoint(folder(two), UniLMv2Backbone)


def test_training_checkpoints(plain, tmp_path):
    state = {k: torch.tensor(v) for k, v in plain.items()}
    moments = {"exp_avg": torch.zeros(3), "step": torch.tensor(1)}
    checkpoint = {
        "run": {"weights": state, "seed": 1},
        "optimizer": {"state": {0: moments}, "param_groups": [{"lr": 0.1}]},
    }
    path = tmp_path / "training.pt"
    for is_new in (False, True):
        torch.save(checkpoint, path, _use_new_zipfile_serialization=is_new)
        with pytest.warns(UserWarning, match="seed") as noted:
            assert_same_tensors(read_pytorch_file(path), plain)
        assert "['run']['weights']" in str(noted[0].message)
    checkpoint["ema"] = {k: v + 1 for k, v in state.items()}
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=r"2 of them.*\['ema'\]"):
        read_pytorch_file(path)


# === What the architecture says ===


@pytest.mark.parametrize(
    "name, architecture",
    [
        ("tagger", "BertForTokenClassification"),
        ("multiple_choice", "BertForMultipleChoice"),
    ],
)
def test_other_heads_become_no_classifier(name, architecture, convert):
    source = CASES / "03_architectures" / name
    status, text, out = convert(source)
    assert status == 0 and architecture in text
    assert "UniLMv2Backbone written" in text
    # And out again, with the head.
    shutil.move(out, f"{out}_first")
    status, _, out = convert(f"{out}_first")
    assert status == 0
    before = load_file(source / "model.safetensors")
    assert "classifier.weight" in load_file(out / "model.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=architecture):
            load_checkpoint(source, UniLMv2TextClassifier)
        model = load_checkpoint(source, UniLMv2TextClassifier, num_classes=5)
    assert model.label_names is None
    kernel = before["classifier.weight"].T
    assert model.logits_dense.kernel.numpy().shape == (8, 5)
    assert not np.isin(kernel, model.logits_dense.kernel.numpy()).any()


def test_taggers_without_architecture_or_pooler(plain, folder):
    tensors = {k: v for k, v in plain.items() if "cls" not in k}
    tensors["classifier.weight"] = np.ones((5, 8), "float32")
    tensors["classifier.bias"] = np.ones(5, "float32")
    with pytest.warns(UserWarning, match="no pooler"):
        model = load_checkpoint(
            folder(tensors), UniLMv2TextClassifier, num_classes=5
        )
    assert not model.logits_dense.bias.numpy().any()
    tensors["bert.pooler.dense.weight"] = np.ones((8, 8), "float32")
    tensors["bert.pooler.dense.bias"] = np.ones(8, "float32")
    source = folder(tensors)
    assert load_checkpoint(source, UniLMv2TextClassifier).num_classes == 5
    source = folder(tensors, problem_type="regression")
    with pytest.warns(UserWarning, match="regression of 5 values"):
        load_checkpoint(source, UniLMv2Backbone)


def test_several_labels_a_text(convert, tmp_path):
    source = CASES / "03_architectures" / "multi_label"
    status, _, out = convert(source)
    assert status == 0
    model = UniLMv2TextClassifier.from_preset(str(out))
    found = model.classify(
        ["a bad film", "the cat sleeps"], return_probabilities=True
    )
    for result, expected in zip(
        found, ([0.7908, 0.3001, 0.2271], [0.7889, 0.3033, 0.2180])
    ):
        assert [*result["probabilities"]] == ["rude", "loud", "late"]
        values = [*result["probabilities"].values()]
        np.testing.assert_allclose(values, expected, atol=1e-4)
    save_checkpoint(model, tmp_path / "back")
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    again = load_checkpoint(
        tmp_path / "back", UniLMv2TextClassifier, label_names=["a", "b", "c"]
    )
    assert again.multi_label and again.label_names == ["a", "b", "c"]


# === Heads ===


def test_google_classifier(convert):
    source = CASES / "04_heads" / "google_classifier"
    status, text, out = convert(source)
    assert status == 0 and "UniLMv2TextClassifier written" in text
    variables = tf.train.load_checkpoint(str(source / "model.ckpt-100"))
    layer = UniLMv2TextClassifier.from_preset(str(out)).logits_dense
    for values, name in (
        (layer.kernel.numpy().T, "output_weights"),
        (layer.bias.numpy(), "output_bias"),
    ):
        np.testing.assert_array_equal(values, variables.get_tensor(name))


def test_google_question_answerer(tmp_path):
    source = CASES / "04_heads" / "google_classifier"
    reader = tf.train.load_checkpoint(str(source / "model.ckpt-100"))
    tensors = {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
    }
    tensors["cls/squad/output_weights"] = tensors.pop("output_weights")[:2]
    tensors["cls/squad/output_bias"] = tensors.pop("output_bias")[:2]
    tensors |= {"beta1_power": np.float32(1), "loss_scale": np.float32(1)}
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model.ckpt"),
        tensor_names=[*tensors],
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(values) for values in tensors.values()],
    )
    shutil.copy(source / "bert_config.json", tmp_path)
    model = load_checkpoint(tmp_path, UniLMv2QuestionAnswerer)
    np.testing.assert_array_equal(
        model.span_dense.kernel.numpy().T, tensors["cls/squad/output_weights"]
    )


@pytest.mark.parametrize(
    "name, note",
    [
        ("decoder_spare_rows", "3 spare rows of zeros"),
        ("decoder_half", "rounded to float16"),
    ],
)
def test_nearly_tied_decoders(name, note, convert):
    source = CASES / "04_heads" / name
    status, text, out = convert(source)
    assert status == 0 and note in text
    table = UniLMv2Seq2SeqLM.from_preset(str(out)).backbone.token_embedding
    np.testing.assert_array_equal(
        table.embeddings.numpy(), load_file(source / "model.safetensors")[TABLE]
    )


def test_decoders_rounded_and_saved_as_float32(plain, folder):
    import ml_dtypes

    table = plain[TABLE]
    rounded = table.astype(ml_dtypes.bfloat16).astype("float32")
    spare = np.concatenate([rounded, np.zeros((4, 8), "float32")])
    tensors = {**plain, DECODER: spare}
    tensors["cls.predictions.decoder.bias"] = np.concatenate(
        [plain["cls.predictions.bias"], np.zeros(4, "float32")]
    )
    with pytest.warns(UserWarning) as noted:
        model = load_checkpoint(
            folder(tensors), UniLMv2PseudoMaskedLM, pseudo_token_id=4
        )
    text = " ".join(str(note.message) for note in noted)
    assert "4 spare rows" in text and "rounded to bfloat16" in text
    np.testing.assert_array_equal(
        model.backbone.token_embedding.embeddings.numpy(), table
    )
    spare[-1, 0] = 1e-9
    with pytest.raises(ValueError, match="must equal"):
        load_checkpoint(folder(tensors), UniLMv2Backbone)


def test_presets_without_the_head(convert, tmp_path):
    """Of every task, unless all of it is there."""
    _, _, masked = convert(OLD / "new.bin")
    labeled = tmp_path / "labeled"
    with pytest.warns(UserWarning, match="pooled_dense and no logits_dense"):
        model = UniLMv2TextClassifier.from_preset(str(masked), num_classes=2)
    model.save_to_preset(str(labeled))
    for preset, cls, missing in (
        (labeled, UniLMv2Seq2SeqLM, "language_model_head"),
        (labeled, UniLMv2PseudoMaskedLM, "language_model_head"),
        (labeled, UniLMv2QuestionAnswerer, "span_dense"),
        (labeled, UniLMv2TextClassifier, None),
        (masked, UniLMv2PseudoMaskedLM, None),
    ):
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            cls.from_preset(str(preset))
        text = " ".join(str(note.message) for note in noted)
        assert ("newly initialized" in text) == (missing is not None)
        assert missing is None or missing in text


# === Segments and padding ===


def test_six_segments_are_those_of_unilm_1(convert, folder, tmp_path):
    case = CASES / "05_segments"
    path = case / "cnndm.unilm1-base-cased.bin"
    other = shutil.copy(path, tmp_path / "renamed.bin")
    for source in (path, other):
        model = load_checkpoint(
            source,
            UniLMv2Seq2SeqLM,
            config=case / "config.json",
            pseudo_token_id=4,
        )
        assert (model.source_segment_id, model.target_segment_id) == (4, 5)
    status, text, out = convert(path)
    assert status == 0 and "six rows" in text
    model = UniLMv2Seq2SeqLM.from_preset(str(out))
    assert (model.source_segment_id, model.target_segment_id) == (4, 5)
    # A backbone that was converted without its head.
    backbone = {
        k: v for k, v in read_pytorch_file(path).items() if "cls." not in k
    }
    status, text, out = convert(folder(backbone, type_vocab_size=6))
    assert status == 0 and "UniLMv2Backbone" in text
    model = UniLMv2Seq2SeqLM.from_preset(str(out))
    assert (model.source_segment_id, model.target_segment_id) == (4, 5)


def test_padding_of_exported_configurations(tmp_path):
    tokenizer = UniLMv2Tokenizer(str(CASES / "06_pad_token" / "vocab.txt"))
    backbone = UniLMv2Backbone(
        vocabulary_size=44,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
    )
    save_checkpoint(backbone, tmp_path / "out", tokenizer=tokenizer)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["pad_token_id"] == 3
    first, *others = tokenizer.get_vocabulary()
    other = UniLMv2Tokenizer([*others, first])
    save_checkpoint(backbone, tmp_path / "out", tokenizer=other)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["pad_token_id"] == 2


# === Tokenizers ===


def ids(tokenizer, text):
    return np.array(tokenizer(text)).tolist()


def tokenizer_of(preset):
    return UniLMv2Tokenizer.from_preset(str(preset))


def test_vocabularies_of_a_tokenizer_json(convert, folder, plain):
    case = CASES / "08_tokenizer_files" / "tokenizer_json"
    status, _, out = convert(case)
    assert status == 0
    tokenizer = tokenizer_of(out)
    assert tokenizer.vocabulary_size() == 44
    assert ids(tokenizer, "The FOX") == [5, 8]
    # Other normalizers of BERT's, and other tokenizers.
    content = json.loads((case / "tokenizer.json").read_text())
    steps = [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]
    path = folder(plain)
    (path / "vocab.txt").unlink()
    for normalizer, expected in (
        (None, [1, 1]),
        ({"type": "Sequence", "normalizers": steps}, [5, 8]),
        ({"type": "Sequence", "normalizers": steps[:2]}, [5, 1]),
    ):
        changed = {**content, "normalizer": normalizer}
        (path / "tokenizer.json").write_text(json.dumps(changed))
        status, _, out = convert(path)
        assert status == 0
        assert ids(tokenizer_of(out), "The FÓX") == expected
    for change, name in (
        ({"model": {**content["model"], "type": "BPE"}}, "BPE"),
        ({"model": {**content["model"], "type": "Unigram"}}, "Unigram"),
        ({"normalizer": {"type": "NFKC"}}, "NFKC"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "Metaspace"),
    ):
        (path / "tokenizer.json").write_text(json.dumps({**content, **change}))
        status, text, _ = convert(path)
        assert status == 2 and name in text


@pytest.mark.parametrize("place", ["added", "decoder", "json"])
def test_added_tokens(place, convert, tmp_path):
    case = CASES / "08_tokenizer_files" / "added_tokens"
    source = shutil.copytree(case, tmp_path / "source")
    added = json.loads((source / "added_tokens.json").read_text())
    assert added == {"[E1]": 44, "[/E1]": 45}
    tokens = [{"id": 2, "content": "[CLS]"}]
    tokens += [{"id": index, "content": name} for name, index in added.items()]
    if place != "added":
        (source / "added_tokens.json").unlink()
    if place == "decoder":
        content = {
            "do_lower_case": True,
            "added_tokens_decoder": {str(each["id"]): each for each in tokens},
        }
        (source / "tokenizer_config.json").write_text(json.dumps(content))
    if place == "json":
        other = CASES / "08_tokenizer_files" / "tokenizer_json"
        content = json.loads((other / "tokenizer.json").read_text())
        content["added_tokens"] = tokens
        (source / "tokenizer.json").write_text(json.dumps(content))
    status, _, out = convert(source)
    assert status == 0
    tokenizer = tokenizer_of(out)
    assert ids(tokenizer, "[E1] fox [/E1] [CLS]")[:3] == [44, 8, 45]
    assert 2 not in ids(tokenizer, "[CLS]")
    shutil.move(out, f"{out}_first")
    status, _, out = convert(f"{out}_first")
    assert status == 0
    assert (out / "vocab.txt").read_bytes() == (case / "vocab.txt").read_bytes()
    assert json.loads((out / "added_tokens.json").read_text()) == added
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizer.from_pretrained(out)
    encoded = theirs("[E1] fox [/E1]", add_special_tokens=False)
    assert encoded["input_ids"] == [44, 8, 45]


def test_added_tokens_beyond_the_model_are_refused(convert, tmp_path):
    case = CASES / "08_tokenizer_files" / "added_tokens"
    source = shutil.copytree(case, tmp_path / "source")
    (source / "added_tokens.json").write_text('{"[E1]": 46}')
    status, text, _ = convert(source)
    assert status == 2 and "47 tokens, but the model has 46" in text


def test_odd_vocabularies_go_in_and_out(convert):
    """One token is U+2028, another one is there twice."""
    case = CASES / "07_vocabularies" / "model"
    status, _, out = convert(case)
    assert status == 0
    assert ids(tokenizer_of(out), "fox dog") == [6, 9]
    shutil.move(out, f"{out}_first")
    status, _, out = convert(f"{out}_first")
    assert (out / "vocab.txt").read_bytes() == (case / "vocab.txt").read_bytes()


@pytest.mark.slow
def test_chinese_vocabulary(convert, folder, plain, tmp_path):
    """In, through training, to an export, and back out."""
    special = [f"[unused{i}]" for i in range(1, 100)]
    special = ["[PAD]", *special, "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(0x4E00 + i) for i in range(10_000)]
    tokens = [*special, "\u2028", *"\uff0c\u3002,.2\uff12", *characters]
    tokens += [f"##{character}" for character in characters]
    # The vocabulary of one published model holds a token twice.
    tokens += ["[unused99]", *(f"word{i}" for i in range(21_127 - len(tokens)))]
    assert len(tokens) == 21_128
    source = folder(
        {
            name: np.resize(values, (21_128, *values.shape[1:]))
            if values.shape[0] == 44
            else values
            for name, values in plain.items()
        },
        vocab_size=21_128,
        architectures=["BertModel"],
    )
    content = "\n".join(tokens) + "\n"
    (source / "vocab.txt").write_bytes(content.encode("utf-8"))
    status, _, out = convert(source)
    assert status == 0
    text = "\u4f60\u597d\uff0c2\uff12\u3002"
    theirs = BertWordPieceTokenizer(str(source / "vocab.txt"))
    encoded = theirs.encode(text, add_special_tokens=False).ids
    assert ids(tokenizer_of(out), text) == encoded

    classifier = UniLMv2TextClassifier.from_preset(
        str(out), label_names=["bad", "good"]
    )
    texts = [text, "\u574f", "\u597d\u3002"]
    classifier.fit(texts, ["good", "bad", "good"], batch_size=3, verbose=0)
    preset = tmp_path / "preset"
    classifier.save_to_preset(preset)
    export = tmp_path / "export"
    arguments = ["export", str(preset), "--output", str(export)]
    assert main([*arguments, "--check", "false"]) == 0
    served = tf.saved_model.load(str(export / "1")).signatures["classify"]
    scores = classifier.classify(texts, return_probabilities=True)
    answer = served(tf.constant(texts))["probabilities"].numpy()
    for row, score in zip(answer, scores, strict=True):
        np.testing.assert_allclose(
            sorted(row), sorted(score["probabilities"].values()), atol=1e-5
        )
    status, _, back = convert(preset)
    assert status == 0
    assert (back / "vocab.txt").read_bytes() == content.encode("utf-8")
