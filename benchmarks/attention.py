"""Attention by segments of the row beside dense attention: time and memory.

A joint step of pre-training with rows of growing length. The peer is the same
model whose attention adds a bias to every pair of tokens of every row, as the
authors' code does. Two layers of base width, one row at a time: at 2,048 tokens
the dense bias of one row is 350 MB, and each layer makes five tensors of that
size. Memory is the peak of the resident set during a step (Linux).

    python -m benchmarks attention
"""

import keras
from keras import ops

from benchmarks import charts
from benchmarks import our_steps
from benchmarks.contest import faster_than
from benchmarks.contest import inverse
from benchmarks.contest import measure
from benchmarks.contest import ratio
from benchmarks.contest import spreads
from benchmarks.random_rows import Size
from benchmarks.training import OURS
from unilmv2_tf.layers import step_visibility
from unilmv2_tf.layers.block_attention_bias import mask_to_bias
from unilmv2_tf.models import UniLMv2Backbone

QUICK = {"size": "tiny", "lengths": [32, 64], "rounds": 2}
CONTENDERS = {"segments": OURS, "dense": f"{__name__}:dense_pretraining"}


def run(
    size: Size = "base",
    layers: int = 2,
    lengths: list[int] = [128, 256, 512, 1024, 2048],  # noqa: B006
    batch_size: int = 1,
    rounds: int = 3,
    threads: int | None = None,
):
    """Measures all lengths."""
    settings = dict(locals())
    figures = {}
    for length in lengths:
        print(f"n = {length}")
        samples = measure(CONTENDERS, rounds, {**settings, "length": length})
        found = {"segments_to_dense": {}}
        for key in ("seconds", "peak_mb"):
            found[key] = spreads(samples, key)
            ours, dense = (samples[name][key] for name in CONTENDERS)
            found["segments_to_dense"][key] = ratio(ours, dense)
        figures[str(length)] = found
        print(f"  {compared_with_dense(found)}")
    return {"lengths": figures}


def compared_with_dense(found):
    """Time and memory at one length, in words."""
    speed = inverse(found["segments_to_dense"]["seconds"])
    memory = found["segments_to_dense"]["peak_mb"]
    return faster_than("dense attention", speed) + (
        ", {median:.0%} of its memory ({lowest:.0%}-{highest:.0%})"
    ).format(**memory)


def dense_pretraining(settings):
    """A step of pre-training with dense attention."""
    return our_steps.pretraining(settings, DenseBackbone)


class DenseBackbone(UniLMv2Backbone):
    """A `UniLMv2Backbone` that attends to whole rows."""

    def embed_blocks(self, query_indices=None, **row):
        hidden_states, _ = super().embed_blocks(**row)
        padding_mask, targets = row["padding_mask"], row["target_positions"]
        positions = ops.cumsum(ops.ones_like(padding_mask), axis=1) - 1
        positions = ops.concatenate([positions, targets, targets], axis=1)
        bias = DenseBias(self.relative_position_bias, name="dense_bias")(
            padding_mask, row["steps"], positions, query_indices
        )
        return hidden_states, bias


class DenseBias(keras.layers.Layer):
    """The bias of the whole square, `(batch, heads, n + 2m, n + 2m)`."""

    def __init__(self, relative_position_bias, **kwargs):
        super().__init__(**kwargs)
        self.relative_position_bias = relative_position_bias

    def build(self, *input_shapes):
        self.built = True

    def call(self, padding_mask, steps, positions, query_indices=None):
        is_used = ops.cast(steps != 0, "int32")
        row_steps = ops.concatenate(
            [0 * ops.cast(padding_mask, "int32"), steps, -steps], axis=1
        )
        is_key = ops.concatenate([padding_mask, is_used, is_used], axis=1)
        visible = step_visibility(row_steps, row_steps)
        visible = visible & ops.expand_dims(ops.cast(is_key, "bool"), axis=1)
        bias = mask_to_bias(ops.expand_dims(visible, 1), self.compute_dtype)
        if self.relative_position_bias is not None:
            bias = bias + self.relative_position_bias(positions, positions)
        # With nothing else, attention takes the row for a single segment.
        dense = {"context_padding": bias}
        if query_indices is not None:
            dense["query"] = _predicted_rows(bias, query_indices)
        return dense


def _predicted_rows(bias, query_indices):
    """Those of the masked tokens and of the pseudo masks."""
    num_slots = ops.shape(query_indices)[1]
    length = ops.shape(bias)[2]
    pseudo = ops.ones_like(query_indices) * ops.arange(
        length - num_slots, length, dtype=query_indices.dtype
    )
    places = ops.concatenate([query_indices, pseudo], axis=1)
    return ops.take_along_axis(bias, places[:, None, :, None], axis=2)


def draw(figures, path):
    """Draws seconds and memory by length."""

    def panel(key, label):
        curves = {
            name: {
                length: found[key][name]
                for length, found in figures["lengths"].items()
            }
            for name in CONTENDERS
        }
        return lambda axes: charts.curve_panel(
            axes, curves, "tokens in a row", label
        )

    charts.draw_panels(
        path,
        panel("seconds", "seconds for a pre-training step"),
        panel("peak_mb", "peak memory, MB"),
    )


def summary(figures):
    """Rows of the summary in docs/results/speed.md."""
    return [
        (
            f"Attention by segments of the row, {length} tokens",
            compared_with_dense(found),
        )
        for length, found in figures["lengths"].items()
        if length in ("1024", "2048")
    ]


def tables(figures):
    """The table of docs/results/speed.md."""
    rows = [
        (length, compared_with_dense(found))
        for length, found in figures["lengths"].items()
    ]
    return {"attention": (("tokens in a row", ""), rows)}
