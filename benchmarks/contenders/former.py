"""Our step of pre-training as it was before changes that made it faster."""

import contextlib
from unittest import mock

import keras

# Of `changes`: name to what takes its place.
CHANGES = (
    "fused AdamW",
    "last layer of what is read",
    "dropout of 16 bits",
    "gelu with erf",
)


def pretraining(settings):
    """As `ours.pretraining`, with changes undone.

    Settings:
        undo: list of names out of `CHANGES`.
    """
    from benchmarks.contenders import ours
    from benchmarks.contenders.dense import WholeLastLayer
    from unilmv2_tf.models import UniLMv2Backbone

    with contextlib.ExitStack() as stack:
        if "fused AdamW" in settings["undo"]:
            stack.enter_context(
                mock.patch(
                    "unilmv2_tf.training.pretraining.train_step."
                    "ReducedGradientAdamW",
                    KerasAdamW,
                )
            )
        if "dropout of 16 bits" in settings["undo"]:
            stack.enter_context(
                mock.patch(
                    "unilmv2_tf.layers.Dropout.call", keras.layers.Dropout.call
                )
            )
        if "gelu with erf" in settings["undo"]:
            stack.enter_context(
                mock.patch(
                    "unilmv2_tf.layers.transformer_block.training_gelu",
                    keras.ops.gelu,
                )
            )
        backbone_class = UniLMv2Backbone
        if "last layer of what is read" in settings["undo"]:
            backbone_class = WholeLastLayer
        step = ours.pretraining(settings, backbone_class)
        # The graph is made in the first step.
        step()
    return step


class KerasAdamW(keras.optimizers.AdamW):
    """Keras's own, which does not sum over replicas again."""

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars
