import keras
import keras_hub
from keras import ops

from unilmv2_tf.samplers.beam_search_steps import BeamSearchSteps
from unilmv2_tf.samplers.beams import BeamCache
from unilmv2_tf.samplers.beams import flatten_beams
from unilmv2_tf.samplers.forbidden_tokens import check_forbidden_token_ids


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BeamSearchSampler(BeamSearchSteps, keras_hub.samplers.Sampler):
    """Beam search that keeps finished hypotheses, with the authors' controls.

    A hypothesis that ends is set aside with its score and takes no further
    part; the beams go on with the best of what is still open. The search ends
    for an example when all of its beams have ended, or when no open beam can
    overtake the best that ended. Hypotheses are ranked by

        sum of log-probabilities / ((5 + length) / 6) ** length_penalty

    where the length counts the stop token. Everything runs in the compiled
    graph, for any batch size.

    Args:
        num_beams: int. Defaults to `5`.
        length_penalty: float, not negative; above 0 longer texts score higher.
            Defaults to `0.0`.
        min_length: int. A text has at least so many tokens before the stop
            token. Defaults to `0`.
        no_repeat_ngram_size: int. No n-gram of this size occurs twice in a
            text; 0 for no such rule. Defaults to `0`.
        ignored_token_ids: tuple of ids that the rule does not apply to, for
            example that of ".". Defaults to `()`.
        forbidden_token_ids: tuple of ids, and of tuples of ids: tokens, and
            sequences of tokens, that no text has. Defaults to `()`.
        num_groups: int, a divisor of `num_beams`. The beams of an example in
            so many groups, of which each is a search of its own that avoids
            what the groups before it chose. Defaults to `1`.
        diversity_penalty: float, not negative. What it costs a token, in the
            choice but not in the scores, that a beam of an earlier group has
            it at the same place, for each such beam. Needs `num_groups`.
            Defaults to `0.0`.
        num_return_sequences: int, at most `num_beams`. Above 1 the result has
            an axis more, best first; of the groups' best equally many.
            Defaults to `1`.
        return_scores: bool. Whether to return scores too. Defaults to `False`.
        **kwargs: see `keras_hub.samplers.Sampler`.

    Returns:
        The token ids, of shape `(batch, max_length)` or `(batch,
        num_return_sequences, max_length)`; with `return_scores` a dict of
        `decoder_token_ids`, `scores` (by which hypotheses are ranked) and
        `log_probs` (before the length penalty).

    Raises:
        ValueError: if an argument is out of range.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from unilmv2_tf.samplers import BeamSearchSampler
    >>> bigrams = np.log([[0.1, 0.6, 0.3], [0.1, 0.5, 0.4], [0.9, 0.05, 0.05]])
    >>> def next(prompt, cache, index):
    ...     last = prompt[:, keras.ops.maximum(index - 1, 0)]
    ...     return keras.ops.take(bigrams, last, axis=0), None, cache
    >>> sampler = BeamSearchSampler(num_beams=2)
    >>> prompt = np.zeros((1, 4), dtype="int32")
    >>> np.array(sampler(next, prompt, stop_token_ids=(0,))).tolist()
    [[2, 0, 0, 0]]

    Reference:
        Bao et al., 2020, table 10; s2s-ft, its decoder; Wu et al., 2016 (the
        length penalty); Vijayakumar et al., 2018 (diverse groups).
    """

    def __init__(
        self,
        num_beams=5,
        length_penalty=0.0,
        min_length=0,
        no_repeat_ngram_size=0,
        ignored_token_ids=(),
        num_return_sequences=1,
        return_scores=False,
        forbidden_token_ids=(),
        num_groups=1,
        diversity_penalty=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, least in (
            ("num_beams", num_beams, 1),
            ("length_penalty", length_penalty, 0),
            ("min_length", min_length, 0),
            ("no_repeat_ngram_size", no_repeat_ngram_size, 0),
            ("num_return_sequences", num_return_sequences, 1),
            ("num_groups", num_groups, 1),
            ("diversity_penalty", diversity_penalty, 0),
        ):
            if value < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: "
                    f"{name}={value}"
                )
        if num_return_sequences > num_beams:
            raise ValueError(
                "`num_return_sequences` must be at most `num_beams`. Received: "
                f"num_return_sequences={num_return_sequences}, "
                f"num_beams={num_beams}"
            )
        if num_beams % num_groups:
            raise ValueError(
                "`num_groups` must divide `num_beams`. Received: "
                f"num_groups={num_groups}, num_beams={num_beams}"
            )
        if diversity_penalty and num_groups == 1:
            raise ValueError(
                "`diversity_penalty` is between groups of beams: set "
                "`num_groups` to 2 or more. Received: "
                f"diversity_penalty={diversity_penalty}, num_groups=1"
            )
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.min_length = min_length
        self.no_repeat_ngram_size = no_repeat_ngram_size
        self.ignored_token_ids = tuple(int(i) for i in ignored_token_ids)
        self.num_return_sequences = num_return_sequences
        self.return_scores = return_scores
        self.forbidden_token_ids = check_forbidden_token_ids(
            forbidden_token_ids
        )
        self.num_groups = num_groups
        self.diversity_penalty = diversity_penalty
        # Of each group.
        self._num_beams = num_beams // num_groups
        self._num_kept = -(-num_return_sequences // num_groups)

    def __call__(
        self,
        next,
        prompt,
        cache=None,
        index=0,
        mask=None,
        stop_token_ids=None,
        hidden_states=None,
        model=None,
        **kwargs,
    ):
        prompt = ops.convert_to_tensor(prompt)
        max_length = ops.shape(prompt)[1]
        if mask is None:
            mask = ops.zeros_like(prompt, dtype="bool")
        mask = ops.cast(mask, "bool")
        index = ops.cast(index, "int32")
        beam_cache = BeamCache(next, self.num_beams)
        state = self.initial_state(
            prompt, beam_cache.start(() if cache is None else cache)
        )

        def cond(state, index):
            return ops.logical_not(ops.all(state["is_done"]))

        def body(state, index):
            flat_ids = flatten_beams(state["token_ids"])
            logits, _, new_cache = next(flat_ids, state["cache"], index)
            state, _ = self.step(
                {**state, "cache": new_cache},
                logits,
                index,
                mask,
                stop_token_ids,
                beam_cache,
            )
            return state, index + 1

        state, _ = self.run_loop(
            cond,
            body,
            model=model,
            loop_vars=(state, index),
            maximum_iterations=max_length - index,
        )
        return self._best(state, mask)

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "num_beams": self.num_beams,
                "length_penalty": self.length_penalty,
                "min_length": self.min_length,
                "no_repeat_ngram_size": self.no_repeat_ngram_size,
                "ignored_token_ids": list(self.ignored_token_ids),
                "num_return_sequences": self.num_return_sequences,
                "return_scores": self.return_scores,
                "forbidden_token_ids": [
                    list(sequence) for sequence in self.forbidden_token_ids
                ],
                "num_groups": self.num_groups,
                "diversity_penalty": self.diversity_penalty,
            }
        )
        return config
