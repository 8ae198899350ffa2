"""A training that is killed, compared bit by bit with one that is not.

The long version is `benchmarks/kill_and_resume.py`.
"""

import os
import re
import time

import numpy as np
import pytest


@pytest.mark.slow
def test_a_killed_run_is_the_same(start_process, tmp_path, read_checkpoint):
    flags = [
        "--num_steps=40",
        "--steps_per_loop=5",
        "--checkpoint_interval=10",
        "--evaluation_interval=20",
        "--backbone.dropout=0.1",
        "--clip_norm=1",
    ]
    whole, killed = f"{tmp_path}/whole", f"{tmp_path}/killed"
    through = start_process(*flags, f"--output={whole}")
    error = through.communicate()[1]
    assert through.returncode == 0, error

    process = start_process(*flags, f"--output={killed}")
    while not os.path.exists(f"{killed}/checkpoints/step-20.index"):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.001)
    process.kill()
    assert process.wait() != 0 and not os.path.exists(f"{killed}/preset")
    last = start_process(*flags, f"--output={killed}")
    output, error = last.communicate()
    assert last.returncode == 0, error
    # Killed before or after the new state became the last one.
    assert int(re.search(r"resumes from step (\d+)", output)[1]) >= 10

    for folder in ("checkpoints", "best"):
        expected = read_checkpoint(whole, folder)
        received = read_checkpoint(killed, folder)
        assert set(received) == set(expected) and len(expected) > 50
        for name in expected:
            np.testing.assert_array_equal(
                received[name], expected[name], name, strict=True
            )
    assert set(os.listdir(killed)) == set(os.listdir(whole))
