"""What is drawn is what is true, and nothing else changes."""

import os
import sys

import matplotlib
import matplotlib.pyplot
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from unilmv2_tf import UniLMv2Tokenizer
from unilmv2_tf.plots import plot_history
from unilmv2_tf.plots import plot_visibility
from unilmv2_tf.plots import show_mask
from unilmv2_tf.plots.mask_plots import format_visibility
from unilmv2_tf.plots.training_plots import plot_confusion

# Figure 5 of the paper: x1 .. x6, steps <{4, 5}, {2}>.
FIGURE_5 = {
    "tokens": ["x1", "x2", "x3", "x4", "x5", "x6"],
    "steps": [1, 1, 2],
    "target_positions": [3, 4, 1],
}
FIGURE_5_ROWS = """
    111111 000 000
    111111 000 000
    111111 000 000
    111111 000 000
    111111 000 000
    111111 000 000
    111111 110 000
    111111 110 000
    111111 111 000
    111111 000 110
    111111 000 110
    111111 110 001
"""
FIGURE_5_MATRIX = np.array(
    [
        [int(cell) for cell in line.replace(" ", "")]
        for line in FIGURE_5_ROWS.split("\n")
        if line.strip()
    ]
)
WORDS = "the quick brown fox jumps over lazy dog $ .".split()


@pytest.fixture(scope="module")
def tokenizer():
    return UniLMv2Tokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s"]
    )


def tick_labels(figure):
    """The texts of all labels: of rows, columns, queries' steps and keys'."""
    axes = figure.axes[0]
    return [
        label
        for every in (axes, *axes.child_axes)
        for label in (*every.get_xticklabels(), *every.get_yticklabels())
        if label.get_text() and label.get_visible()
    ]


def drawn_texts(figure):
    return [label.get_text() for label in tick_labels(figure)]


def test_picture_of_figure_5():
    figure = plot_visibility(**FIGURE_5)
    (image,) = figure.axes[0].images
    drawn = np.asarray(image.get_array())
    block_of_key = np.array([1] * 6 + [2] * 3 + [3] * 3)
    np.testing.assert_array_equal(drawn, FIGURE_5_MATRIX * block_of_key)
    texts = drawn_texts(figure)
    for label, count in (
        ("x1", 2),
        ("[M]", 6),
        ("x2", 2),
        ("P(x2)", 2),
        ("context, step 0", 1),
        ("revealed, step 1", 1),
        ("pseudo, step \N{MINUS SIGN}2", 1),
        ("\N{MINUS SIGN}2", 1),
    ):
        assert texts.count(label) == count


def test_pixels_of_figure_5():
    """The picture has queries from top to bottom, keys from left to right."""
    figure = plot_visibility(**FIGURE_5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    axes = figure.axes[0]
    seen = np.zeros((12, 12), int)
    for query in range(12):
        for key in range(12):
            x, y = axes.transData.transform((key + 0.5, query + 0.5))
            color = pixels[len(pixels) - 1 - int(y), int(x)]
            # What is hidden is nearly white.
            seen[query, key] = color.min() < 220
    np.testing.assert_array_equal(seen, FIGURE_5_MATRIX)


def test_text_of_figure_5():
    drawing = format_visibility(**FIGURE_5)
    expected = """\
                       |       | P P P
                       |       | ( ( (
             [   [ [   |       | x x x
           x M x M M x | x x x | 4 5 2
           1 ] 3 ] ] 6 | 4 5 2 | ) ) )
--------------------------------------
 0  x1     # # # # # # | . . . | . . .
 0  [M]    # # # # # # | . . . | . . .
 0  x3     # # # # # # | . . . | . . .
 0  [M]    # # # # # # | . . . | . . .
 0  [M]    # # # # # # | . . . | . . .
 0  x6     # # # # # # | . . . | . . .
--------------------------------------
 1  x4     # # # # # # | # # . | . . .
 1  x5     # # # # # # | # # . | . . .
 2  x2     # # # # # # | # # # | . . .
--------------------------------------
-1  P(x4)  # # # # # # | . . . | # # .
-1  P(x5)  # # # # # # | . . . | # # .
-2  P(x2)  # # # # # # | # # . | . . #"""
    assert drawing == expected


def test_text_of_wide_and_accented_letters_is_aligned():
    drawing = format_visibility(["日", "e\u0301"], [1], [1])
    rows = drawing.splitlines()
    # A wide letter takes two columns, an accent none.
    assert rows[-1] == "-1  P(e\u0301)  # # | . | #"
    assert " 0  日    # # | . | ." in rows
    assert rows[3] == "          日] | e\u0301 | )"


def test_a_target_after_its_source():
    """Sequence-to-sequence training: the target is in no context."""
    drawing = format_visibility(
        ["a", "b", "c", "d"], [1, 2], [2, 3], context_tokens=["a", "b"]
    )
    assert drawing.splitlines()[-5:] == [
        " 1  c     # # | # . | . .",
        " 2  d     # # | # # | . .",
        "-------------------------",
        "-1  P(c)  # # | . . | # .",
        "-2  P(d)  # # | # . | . #",
    ]


@pytest.mark.parametrize("count", [3, 6, 14])
def test_no_label_leaves_the_picture(count):
    tokens = [f"##token{i}" for i in range(count)]
    figure = plot_visibility(
        tokens, [1] * count, list(range(count)), title="A title of some length"
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    width, height = figure.canvas.get_width_height()
    figure.draw_without_rendering()
    texts = [*tick_labels(figure), *figure.legends[0].get_texts()]
    for text in texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= width and box.y1 <= height


@pytest.mark.parametrize("name", ["mask.png", "mask", "mask.svg"])
def test_the_file_appears_whole(tmp_path, name):
    path = tmp_path / "new folder" / name
    figure = plot_visibility(**FIGURE_5, path=path)
    start = path.read_bytes()[:100]
    if name.endswith("svg"):
        assert b"<?xml" in start
    else:
        assert start.startswith(b"\x89PNG")
        height, width, _ = matplotlib.pyplot.imread(path, "png").shape
        assert (width, height) == figure.canvas.get_width_height()
    assert os.listdir(path.parent) == [name]


def test_a_failure_leaves_the_earlier_picture(tmp_path, monkeypatch):
    path = tmp_path / "mask.png"
    path.write_bytes(b"earlier")

    def fail(self, file, **kwargs):
        with open(file, "wb") as half:
            half.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", fail)
    with pytest.raises(KeyboardInterrupt):
        plot_visibility(**FIGURE_5, path=path)
    assert os.listdir(tmp_path) == ["mask.png"]
    assert path.read_bytes() == b"earlier"


def test_matplotlib_is_left_alone(tmp_path):
    backend = matplotlib.get_backend()
    settings_before = dict(matplotlib.rcParams)
    plot_visibility(**FIGURE_5, path=tmp_path / "mask.png")
    plot_history({"loss": [2.0, 1.0]}, path=tmp_path / "loss.png")
    assert matplotlib.get_backend() == backend
    assert dict(matplotlib.rcParams) == settings_before
    assert matplotlib.pyplot.get_fignums() == []


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"unilmv2_tf\[plots\]"):
        plot_history({"loss": [2.0, 1.0]})
    assert format_visibility(["a"], [1], [0])


@pytest.mark.slow
def test_a_masked_sentence(tokenizer):
    words = "the quick brown fox jumps over the lazy dog .".split()
    drawings = []
    for seed in (3, 3, 4):
        drawing, figure = show_mask(" ".join(words), tokenizer, seed=seed)
        drawings.append(drawing)
        check_drawing(words, drawing.splitlines(), figure)
    assert drawings[0] == drawings[1] != drawings[2]


def check_drawing(words, lines, figure):
    half = (len(words) + 1) // 2
    row = ["[CLS]", *words[:half], "[SEP]", *words[half:], "[SEP]"]
    assert lines[0].split() == ["text", *row]
    context = lines[1].split()[1:]
    assert len(context) == len(row)
    steps = []
    for line in lines[2 : lines.index("")]:
        name, number, *revealed = line.split()
        assert name == "step"
        assert int(number) == len(steps) + 1
        steps.append(revealed)
    assert len(steps) >= 2
    masked = [word for revealed in steps for word in revealed]
    assert len(masked) >= 0.4 * len(row)
    # A word that reads [M] in the context is among those predicted.
    hidden = [w for w, shown in zip(row, context) if shown == "[M]"]
    assert set(hidden) <= set(masked)
    matrix = np.asarray(figure.axes[0].images[0].get_array()) > 0
    numbers = [i + 1 for i, revealed in enumerate(steps) for _ in revealed]
    slots = np.array([0] * len(row) + numbers + [-n for n in numbers])
    query, key = slots[:, np.newaxis], slots
    seen = np.where(query < 0, key < -query, key <= query) & (key >= 0)
    np.testing.assert_array_equal(matrix, seen | ((key < 0) & (key == query)))
    texts = drawn_texts(figure)
    for word in masked:
        assert f"P({word})" in texts


def test_one_word_is_one_step(tokenizer):
    drawing, _ = show_mask("fox", tokenizer)
    assert drawing.splitlines()[0] == "text     [CLS] fox [SEP]"
    assert drawing.splitlines()[2] == "step 1   fox"


def test_words_are_drawn_as_they_are(tokenizer, tmp_path):
    """A dollar sign begins no formula, in labels and titles."""
    plot_visibility(
        ["$", "$\\frac$", "_^"], [1, 2], [0, 1],
        title="$ and $", path=tmp_path / "mask.png",
    )  # fmt: skip


def lines_of(figure):
    return {
        line.get_label(): (
            np.asarray(line.get_xdata()).tolist(),
            np.asarray(line.get_ydata()).tolist(),
        )
        for line in figure.axes[0].lines
    }


def test_history_of_rows():
    rows = [
        {"step": 10, "ae_loss": 5.0, "par_loss": 4.0, "loss": 9.0, "lr": 1.0},
        {"step": 20, "ae_loss": 4.0, "par_loss": 3.0, "loss": 7.0,
         "val_ae_loss": 4.5, "val_par_loss": 3.25},
    ]  # fmt: skip
    figure = plot_history(rows, title="Pre-training", reference=6.0)
    assert lines_of(figure) == {
        "AE": ([10, 20], [5, 4]),
        "PAR": ([10, 20], [4, 3]),
        "AE + PAR": ([10, 20], [9, 7]),
        "AE, validation": ([20], [4.5]),
        "PAR, validation": ([20], [3.25]),
        "AE + PAR, validation": ([20], [7.75]),
        "unigram entropy (6.00)": ([0, 1], [6, 6]),
    }
    assert figure.axes[0].get_xlabel() == "step"


def test_history_of_keras():
    """Validated at every second of five epochs, as `validation_freq=2`."""
    history = {
        "accuracy": [0.1] * 5,
        "loss": [5, 4, 3, 2, 1],
        "val_loss": [4.5, 2.5],
    }
    assert lines_of(plot_history(history)) == {
        "loss": ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1]),
        "loss, validation": ([2, 4], [4.5, 2.5]),
    }


def test_one_objective_has_no_sum():
    history = {"par_loss": [2.0, 1.0], "loss": [2.0, 1.0]}
    assert list(lines_of(plot_history(history))) == ["PAR"]


def test_errors_teach(tokenizer):
    with pytest.raises(ValueError, match="2 steps, 1 positions"):
        plot_visibility(["a", "b"], [1, 2], [0])
    with pytest.raises(ValueError, match="`steps` must be above 0"):
        format_visibility(["a"], [0], [0])
    with pytest.raises(ValueError, match="`target_positions` must be in"):
        format_visibility(["a"], [1], [1])
    with pytest.raises(ValueError, match="something to mask"):
        show_mask("  ", tokenizer)
    for history in ([], {}, {"accuracy": [1.0]}, [{"loss": None}]):
        with pytest.raises(ValueError, match="must hold a loss"):
            plot_history(history)


@pytest.mark.parametrize("size, seed", [(1, 0), (25, 1), (26, 2)])
def test_shares_and_counts_of_a_confusion_matrix(size, seed):
    matrix = np.random.default_rng(seed).integers(0, 3000, (size, size))
    matrix[0] = 0
    names = [f"${name}$" for name in range(size)]
    axes = plot_confusion(matrix, names).axes[0]
    shares = axes.images[0].get_array()
    np.testing.assert_allclose(
        shares.sum(axis=1), (matrix.sum(axis=1) > 0), atol=1e-12
    )
    np.testing.assert_allclose(shares * matrix.sum(1, keepdims=True), matrix)
    assert [text.get_text() for text in axes.get_yticklabels()] == names
    counts = [int(text.get_text().replace(",", "")) for text in axes.texts]
    assert counts == (matrix.ravel().tolist() if size <= 25 else [])


def test_a_confusion_matrix_is_written(tmp_path):
    path = tmp_path / "confusion.png"
    plot_confusion([[3, 1], [0, 2]], ["a", "b"], path, title="$x")
    assert path.read_bytes()[:4] == b"\x89PNG"
    for matrix in ([[1, 2]], [[1, 2], [-1, 0]], [[1]]):
        with pytest.raises(ValueError, match="`matrix` must hold counts"):
            plot_confusion(matrix, ["a", "b"])
