"""Where figures go, and what they were measured with."""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

from unilmv2_tf.filesystem import write_text

RESULTS = pathlib.Path(__file__).parent / "results"
PACKAGES = ("tensorflow", "tensorflow-text", "keras", "keras-hub")


def write_results(name, figures, packages=PACKAGES, folder=RESULTS):
    """Writes `NAME.json`.

    Args:
        name: string.
        figures: dict, what was measured.
        packages: the packages whose versions are noted.
        folder: path. Defaults to `results`.
    """
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"cpu": processor(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in packages},
        },
        **figures,
    }
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{name}.json", json.dumps(report, indent=2) + "\n")


def read_results(name, folder=RESULTS):
    """Reads `NAME.json`, or returns `None` if there is none."""
    path = pathlib.Path(folder) / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def processor():
    """The name of the CPU, and the number formats that matter for speed."""
    name, flags = platform.processor(), ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            fields = dict(
                line.strip().split(":", 1) for line in file if ":" in line
            )
        fields = {key.strip(): value.strip() for key, value in fields.items()}
        name = fields.get("model name", name)
        flags = fields.get("flags", "")
    formats = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    found = [name for name in formats if name in flags.split()]
    return f"{name} ({' '.join(found)})" if found else name
