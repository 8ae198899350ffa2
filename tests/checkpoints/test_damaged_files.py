"""160 damaged checkpoints: an error that names the problem, or no damage."""

import shutil
import traceback

import numpy as np
import pytest
from safetensors.numpy import save_file

from unilmv2_tf import UniLMv2PseudoMaskedLM
from unilmv2_tf.checkpoints import load_checkpoint
from unilmv2_tf.checkpoints import save_checkpoint
from unilmv2_tf.checkpoints.pytorch_files import write_pytorch_file
from unilmv2_tf.checkpoints.readers import read_tensors

FILES = ("fused.bin", "s2s_ft.bin", "fused.safetensors", "bert.safetensors")
NUM_MUTATIONS = 40


@pytest.fixture(scope="module")
def folder(golden_dir, tmp_path_factory):
    """The golden model in four files, two of them with our checksum."""
    case = golden_dir / "tiny_relpos"
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(case / "config.json", folder)
    shutil.copy(case / "pytorch_model.bin", folder / "fused.bin")
    shutil.copy(case / "s2s_ft_saved/pytorch_model.bin", folder / "s2s_ft.bin")
    model = load(case)
    for layout in ("fused", "bert"):
        save_checkpoint(model, folder / layout, layout=layout)
        shutil.copy(
            folder / layout / "model.safetensors",
            folder / f"{layout}.safetensors",
        )
    return folder


def load(path):
    return load_checkpoint(path, UniLMv2PseudoMaskedLM, pseudo_token_id=4)


def flip_bytes(content, rng):
    content = bytearray(content)
    for place in rng.integers(0, len(content), rng.integers(1, 4)):
        content[place] ^= rng.integers(1, 256)
    return bytes(content)


def flip_in_front(content, rng):
    """In a .safetensors file the first bytes describe all others."""
    content = bytearray(content)
    content[rng.integers(0, min(len(content), 4000))] ^= rng.integers(1, 256)
    return bytes(content)


def truncate(content, rng):
    return content[: rng.integers(0, len(content))]


def lengthen(content, rng):
    place = rng.integers(0, len(content))
    return content[:place] + rng.bytes(rng.integers(1, 9)) + content[place:]


def rename(tensors, rng):
    name = rng.choice(sorted(tensors))
    other = rng.choice(
        [
            name[1:],
            f"{name}s",
            name.upper(),
            name.replace("weight", "bias") + "_",
            name.replace("bert.", "roberta."),
            "bert.embeddings.position_ids",
            rng.choice(sorted(set(tensors) - {name})),
        ]
    )
    return {
        (other if key == name else key): value for key, value in tensors.items()
    }


def reshape(tensors, rng):
    name = rng.choice(sorted(tensors))
    values = tensors[name]
    changed = [
        values[:-1] if len(values) > 1 else values[None],
        values[None],
        values.reshape(-1)[: values.size // 2],
        np.concatenate([values, values]),
        values.astype("int32"),
        np.full_like(values, np.nan),
    ]
    return {**tensors, name: changed[rng.integers(len(changed))]}


def mutate(path, source, rng):
    """Writes a damaged copy."""
    kinds = (flip_bytes, flip_in_front, truncate, lengthen, rename, reshape)
    kind = kinds[rng.integers(len(kinds))]
    if kind not in (rename, reshape):
        path.write_bytes(kind(source.read_bytes(), rng))
        return
    tensors = kind(read_tensors(source), rng)
    if path.suffix == ".bin":
        write_pytorch_file(path, tensors)
    else:
        save_file({k: v.copy() for k, v in tensors.items()}, path)


def check_error(error, name):
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert "/unilmv2_tf/checkpoints/" in last.filename, error
    message = str(error)
    # The file, a tensor or a key.
    assert any(sign in message for sign in (name, "'", "configuration has"))
    assert len(message) < 3000


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name, folder, tmp_path):
    shutil.copy(folder / "config.json", tmp_path)
    expected = [weight.numpy() for weight in load(folder / name).weights]
    path = tmp_path / f"damaged-{name}"
    rng = np.random.default_rng(FILES.index(name))
    num_refused = 0
    for _ in range(NUM_MUTATIONS):
        mutate(path, folder / name, rng)
        try:
            model = load(path)
        except ValueError as error:
            check_error(error, path.name)
            num_refused += 1
            continue
        for weight, values in zip(model.weights, expected, strict=True):
            np.testing.assert_array_equal(weight.numpy(), values)
    assert num_refused > NUM_MUTATIONS * 0.6
