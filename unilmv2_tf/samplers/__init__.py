"""Beam search and its token rules, in `keras.ops` only, and their options."""

from typing import TYPE_CHECKING

from unilmv2_tf.samplers.sampler_args import PRESET_SAMPLER
from unilmv2_tf.samplers.sampler_args import SamplerArgs
from unilmv2_tf.samplers.sampler_args import get_sampler

if TYPE_CHECKING:
    from unilmv2_tf.samplers.beam_search_sampler import BeamSearchSampler

__all__ = [
    "PRESET_SAMPLER",
    "BeamSearchSampler",
    "SamplerArgs",
    "get_sampler",
]


# The command line imports the options, and no Keras, to print its help.
def __getattr__(name):
    if name == "BeamSearchSampler":
        from unilmv2_tf.samplers.beam_search_sampler import BeamSearchSampler

        return BeamSearchSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
