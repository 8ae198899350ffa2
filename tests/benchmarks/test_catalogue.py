import argparse
import json

import pytest
import tensorflow as tf

from benchmarks import accelerator
from benchmarks import catalogue
from benchmarks.__main__ import main
from benchmarks.__main__ import run_one

REGULAR = '''"""Counts to a number.

More about it.
"""
NAME = "counting"
QUICK = ["--to", "2"]

def add_arguments(parser):
    parser.add_argument("--to", type=int, default=9)

def run(settings):
    if settings.to < 0:
        raise ValueError("--to must not be negative. Received: --to -1")
    return {"numbers": list(range(settings.to))}

def draw(figures, path):
    path.write_text("picture")
'''


def test_modules_that_come_later_are_found(tmp_path):
    (tmp_path / "count.py").write_text(REGULAR)
    (tmp_path / "alone.py").write_text('"""Alone."""\ndef main(): pass\n')
    (tmp_path / "helper.py").write_text('"""No benchmark."""\nNAME = "x"\n')
    found = catalogue.find(tmp_path, "package")
    assert found == {
        "alone": catalogue.Benchmark("alone", "package.alone", "Alone.", False),
        "counting": catalogue.Benchmark(
            "counting", "package.count", "Counts to a number.", True
        ),
    }


def test_every_regular_benchmark_has_quick_flags_that_parse():
    for benchmark in catalogue.find().values():
        if benchmark.is_regular:
            module = benchmark.load()
            parser = argparse.ArgumentParser()
            module.add_arguments(parser)
            parser.parse_args(module.QUICK)
            parser.parse_args([])


def test_results_and_picture(tmp_path, monkeypatch, capsys):
    (tmp_path / "count.py").write_text(REGULAR)
    monkeypatch.syspath_prepend(tmp_path)
    benchmark = catalogue.Benchmark("counting", "count", "Counts.", True)
    output = tmp_path / "output"
    assert run_one(benchmark, ["--quick", f"--output={output}"]) == 0
    text = (output / "counting.json").read_text()
    assert '"numbers": [\n    0,\n    1\n  ]' in text
    assert '"keras"' in text and '"cores"' in text
    assert (output / "benchmark-counting.png").read_text() == "picture"
    assert run_one(benchmark, ["--to=-1", f"--output={output}"]) == 2
    assert capsys.readouterr().err.startswith("--to must not be negative")


def test_unknown_name(capsys):
    assert main(["trainning"]) == 2
    assert "training" in capsys.readouterr().err


def test_list(capsys):
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert "  training " in listed and "  ablation " in listed


@pytest.mark.skipif(
    len(tf.config.list_physical_devices()) > 1, reason="there is one"
)
def test_no_accelerator(capsys):
    benchmark = catalogue.find()["training"]
    assert run_one(benchmark, ["--device=gpu"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "sees none" in error


@pytest.mark.slow
def test_steps_on_an_accelerator(monkeypatch, tmp_path, capsys):
    # The steps are those of any backend; here the processor stands in.
    monkeypatch.setattr(accelerator, "find_device", lambda: "a device")
    arguments = ["--quick", "--device=gpu", "--peers", f"--output={tmp_path}"]
    assert run_one(catalogue.find()["training"], arguments) == 0
    figures = json.loads((tmp_path / "training-gpu.json").read_text())
    assert figures["settings"]["device"] == "a device"
    found = figures["lengths"]["32"]
    for name in ("AE+PAR", "AE", "AE+PAR, no dropout"):
        assert found["seconds"][name]["lowest"] > 0
        assert found["share_of_peak"][name]["lowest"] > 0
    assert found["joint_to_ae_by_flops"] > 1
    assert "round 2, seconds: AE+PAR" in capsys.readouterr().out
