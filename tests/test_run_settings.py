import pytest

from unilmv2_tf.run_settings import check_same_settings


def test_settings_count_from_the_first_state_on(tmp_path):
    check_same_settings(tmp_path, {"seed": 1})
    # A start that was refused has trained nothing.
    check_same_settings(tmp_path, {"seed": 2})
    state = tmp_path / "seed-2" / "checkpoints" / "step-1"
    state.mkdir(parents=True)
    check_same_settings(tmp_path, {"seed": 2})
    with pytest.raises(ValueError, match=r"started with seed=2 \(now 3\)"):
        check_same_settings(tmp_path, {"seed": 3})
