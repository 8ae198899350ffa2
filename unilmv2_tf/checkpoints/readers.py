"""Files and folders of weights, whatever their format."""

import json
import pathlib

import ml_dtypes
import numpy as np

from unilmv2_tf.checkpoints.pytorch_file import open_pytorch_file
from unilmv2_tf.checkpoints.safetensors_file import open_safetensors

CONFIG_NAME = "config.json"
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")


def is_float(dtype):
    """Tells whether a dtype is a floating-point one, bfloat16 included.

    Args:
        dtype: numpy dtype or its name.

    Returns:
        bool.

    Example:

    >>> is_float("float32"), is_float(ml_dtypes.bfloat16), is_float("int32")
    (True, True, False)
    """
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or dtype == ml_dtypes.bfloat16


def _checked(path, name, lazy):
    def check(values):
        if is_float(values.dtype) and not np.isfinite(values).all():
            bad = int(values.size - np.isfinite(values).sum())
            raise ValueError(
                f"{path}: tensor {name!r} holds NaN or infinity in {bad} of "
                f"{values.size} places. The training that wrote it diverged "
                "or the file is damaged; take an earlier checkpoint."
            )
        return values

    return lazy.map(check)


def find_weights(path):
    """Finds the file of weights that a path stands for.

    Args:
        path: str or path. A file, which is returned as it is, or a folder
            with `model.safetensors` (preferred), `pytorch_model.bin` or one
            file of weights of another name.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: if nothing is at `path`, or the folder holds
            neither file.

    Example:

    >>> import tempfile
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "pytorch_model.bin").touch()
    >>> find_weights(folder).name
    'pytorch_model.bin'
    """
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"`path` must be a file of weights or a folder. Received: "
            f"{str(path)!r}, which does not exist."
        )
    if not path.is_dir():
        return path
    for name in WEIGHT_NAMES:
        if (path / name).exists():
            return path / name
    named = [
        entry for entry in path.iterdir() if entry.suffix in WEIGHT_SUFFIXES
    ]
    if len(named) == 1:
        return named[0]
    found = sorted(entry.name for entry in path.iterdir())[:8]
    raise FileNotFoundError(
        f"A folder must hold {' or '.join(WEIGHT_NAMES)} (weights split "
        f"over several files are not read). Received {str(path)!r} with "
        f"{found}. Pass the file itself if it has another name."
    )


def open_tensors(path):
    """Lists the tensors of a file, to be read and checked when wanted.

    Args:
        path: str or path. A `.safetensors` file, or a PyTorch file ending in
            `.bin`, `.pt` or `.pth`, read without PyTorch and without running
            anything in it.

    Returns:
        A dict from names to `LazyArray`s. To use one raises a ValueError that
        names it if it is damaged or holds NaN or infinity.

    Raises:
        ValueError: if the file has another ending or format, is damaged, or
            a tensor, which is then named, has an unsupported dtype; or if the
            file notes a `digest` that is not that of its tensors.

    Example:

    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"bias": np.zeros(3, "float32")}, path)
    >>> open_tensors(path)["bias"].shape
    (3,)
    """
    path = pathlib.Path(path)
    if path.suffix == ".safetensors":
        tensors = open_safetensors(path)
    elif path.suffix in (".bin", ".pt", ".pth"):
        tensors = open_pytorch_file(path)
    else:
        raise ValueError(
            "A file of weights must end in .safetensors, .bin, .pt or .pth. "
            f"Received: {path.name!r}"
        )
    return {name: _checked(path, name, lazy) for name, lazy in tensors.items()}


def read_tensors(path):
    """Reads all tensors of a file, whatever its format.

    Args:
        path: str or path, see `open_tensors`.

    Returns:
        A dict from names to NumPy arrays.

    Raises:
        ValueError: as `open_tensors`, and if a tensor, which is then named,
            holds NaN or infinity.

    Example:

    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save_file({"bias": np.zeros(3, "float32")}, path)
    >>> read_tensors(path)
    {'bias': array([0., 0., 0.], dtype=float32)}
    """
    return {name: np.asarray(lazy) for name, lazy in open_tensors(path).items()}


def find_config(weights_path):
    """Finds the configuration beside a file of weights.

    Args:
        weights_path: path.

    Returns:
        The path of `NAME-config.json` beside `NAME.bin`, as the authors
        publish it, or else of `config.json`; `None` if there is neither.

    Example:

    >>> find_config("no/such/model.bin")
    """
    path = pathlib.Path(weights_path)
    for name in (f"{path.stem}-{CONFIG_NAME}", CONFIG_NAME):
        if path.with_name(name).exists():
            return path.with_name(name)
    return None


def read_config(config, weights_path):
    """Reads an official configuration.

    Args:
        config: dict, path of a JSON file, or `None` for the one
            that `find_config` finds beside the weights.
        weights_path: path. The file of weights.

    Returns:
        A dict.

    Raises:
        ValueError: if no configuration is found, or it is no JSON object.
        FileNotFoundError: if `config` names a file that does not exist.

    Example:

    >>> read_config({"vocab_size": 101}, "anywhere/pytorch_model.bin")
    {'vocab_size': 101}
    """
    if isinstance(config, dict):
        return dict(config)
    if config is None:
        path = find_config(weights_path)
        if path is None:
            raise ValueError(
                f"The weights {str(weights_path)!r} need a configuration, "
                f"and there is no {CONFIG_NAME} beside them. Pass config= "
                "with a dict or the path of a JSON file."
            )
    else:
        path = pathlib.Path(config).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(
            f"A configuration must be a JSON file. Received {str(path)!r}: "
            f"{error}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            "A configuration must be a JSON object of official keys such as "
            f"vocab_size. Received {type(content).__name__} in {str(path)!r}"
        )
    return content
