"""The command `show-attention`."""

from unilmv2_tf.cli import main


def test_show_attention(preset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show-attention", preset, "the quick fox"]) == 0
    assert "written to attention.png" in capsys.readouterr().out
    with open("attention.png", "rb") as file:
        assert file.read(8) == b"\x89PNG\r\n\x1a\n"
    arguments = ["show-attention", preset, "the fox", "--target", "a dog ."]
    assert main([*arguments, "--layer", "0", "--head", "1"]) == 0
    assert capsys.readouterr().out.startswith("a dog . [SEP]\n")
    assert main([*arguments, "--head", "2"]) == 2
    assert "`head` must be in [0, 2)" in capsys.readouterr().err
