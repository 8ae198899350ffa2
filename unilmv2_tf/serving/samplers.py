"""Samplers that tell the score of what they chose."""

import copy

import keras_hub
from keras import ops

from unilmv2_tf.samplers import BeamSearchSampler
from unilmv2_tf.samplers import get_sampler


def scored_sampler(sampler):
    """Makes a sampler that returns sequences and their scores.

    Args:
        sampler: a `BeamSearchSampler`, or a `keras_hub.samplers.Sampler` that
            chooses token by token: greedy, random, top-k, top-p or one of your
            own with a `get_next_token`; or the name of such a sampler.

    Returns:
        A sampler whose call returns a dict with `decoder_token_ids` `(batch,
        max_length)` and `scores` `(batch,)`, with an axis more if it returns
        several sequences. The one passed in is not changed.

    Raises:
        ValueError: if the sampler is neither of the above.

    Example:

    >>> from unilmv2_tf.serving.samplers import scored_sampler
    >>> from unilmv2_tf.samplers import BeamSearchSampler
    >>> scored_sampler(BeamSearchSampler(num_beams=3)).return_scores
    True
    """
    sampler = get_sampler(sampler)
    if isinstance(sampler, BeamSearchSampler):
        sampler = copy.copy(sampler)
        sampler.return_scores = True
        return sampler
    if type(sampler).__call__ is not keras_hub.samplers.Sampler.__call__:
        raise ValueError(
            "An exported `sampler` must be a BeamSearchSampler, or choose "
            "token by token (greedy, random, top_k, top_p, or a subclass of "
            "keras_hub.samplers.Sampler with `get_next_token`). Received: "
            f"sampler of type {type(sampler).__name__}, which has a loop of "
            "its own. Pass `sampler=BeamSearchSampler(num_beams=...)`."
        )
    return StepwiseSampler(sampler)


class StepwiseSampler:
    """Runs a KerasHub sampler token by token, and adds up log-probabilities.

    The tokens are those that the sampler chooses by itself. Its own loop
    writes them with an operation that TensorFlow compiles by XLA wherever it
    runs, which servers may lack; this one does without. The score is the
    sum of the log-probabilities (at the sampler's temperature, before top-k or
    top-p cut the distribution) of the tokens up to and including the stop
    token.

    Args:
        sampler: a `keras_hub.samplers.Sampler` with `get_next_token`.

    Call arguments:
        see `keras_hub.samplers.Sampler`.

    Returns:
        A dict of `decoder_token_ids`, int tensor of shape `(batch,
        max_length)`, and `scores`, float32 tensor of shape `(batch,)`.

    Example:

    >>> import keras_hub
    >>> import numpy as np
    >>> from unilmv2_tf.serving.samplers import StepwiseSampler
    >>> def next(prompt, cache, index):
    ...     return np.log([[0.1, 0.3, 0.6]]).astype("float32"), None, cache
    >>> sampler = StepwiseSampler(keras_hub.samplers.GreedySampler())
    >>> outputs = sampler(next, np.zeros((1, 2), "int32"))
    >>> np.array(outputs["decoder_token_ids"]).tolist()
    [[2, 2]]
    >>> round(float(outputs["scores"][0]), 3)  # 2 log 0.6
    -1.022
    """

    def __init__(self, sampler):
        self.sampler = sampler

    @property
    def variables(self):
        return self.sampler.variables

    def __call__(
        self,
        next,
        prompt,
        cache=None,
        index=0,
        mask=None,
        stop_token_ids=None,
        model=None,
        **kwargs,
    ):
        prompt = ops.convert_to_tensor(prompt)
        index = ops.cast(index, "int32")
        if mask is None:
            mask = ops.zeros_like(prompt, dtype="bool")
        mask = ops.cast(mask, "bool")
        scores = ops.zeros_like(prompt[:, 0], dtype="float32")
        has_ended = ops.zeros_like(prompt[:, 0], dtype="bool")
        cache = () if cache is None else cache

        def cond(prompt, cache, scores, has_ended, index):
            return ops.logical_not(ops.all(has_ended))

        def body(prompt, cache, scores, has_ended, index):
            logits, _, cache = next(prompt, cache, index)
            tokens, log_probs = self._choose(logits)
            forced = ops.take(mask, index[None], axis=1)[:, 0]
            prompt_tokens = ops.take(prompt, index[None], axis=1)[:, 0]
            tokens = ops.cast(tokens, prompt.dtype)
            tokens = ops.where(forced, prompt_tokens, tokens)
            is_silent = ops.logical_or(forced, has_ended)
            scores = scores + ops.where(is_silent, 0.0, log_probs)
            for stop_token_id in stop_token_ids or ():
                is_stop = ops.logical_and(tokens == stop_token_id, ~forced)
                has_ended = ops.logical_or(has_ended, is_stop)
            is_new = ops.arange(ops.shape(prompt)[1]) == index
            prompt = ops.where(is_new, tokens[:, None], prompt)
            return prompt, cache, scores, has_ended, index + 1

        prompt, _, scores, _, _ = ops.while_loop(
            cond,
            body,
            (prompt, cache, scores, has_ended, index),
            maximum_iterations=ops.shape(prompt)[1] - index,
        )
        return {"decoder_token_ids": prompt, "scores": scores}

    def _choose(self, logits):
        probabilities = self.sampler.compute_probabilities(logits)
        tokens = self.sampler.get_next_token(probabilities)
        log_probs = ops.log_softmax(
            ops.cast(logits, "float32") / self.sampler.temperature, axis=-1
        )
        tokens = ops.cast(tokens, "int32")
        chosen = ops.take_along_axis(log_probs, tokens[:, None], axis=1)
        return tokens, chosen[:, 0]
