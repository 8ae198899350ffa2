import keras
import keras_hub
from keras import ops

from unilmv2_tf.generation.ngram_rule import FORBIDDEN_SCORE
from unilmv2_tf.generation.ngram_rule import repeated_ngram_penalty

# Below any score that a hypothesis can have, forbidden tokens included.
NO_HYPOTHESIS = -1e9


@keras.saving.register_keras_serializable(package="unilmv2_tf")
class BeamSearchSampler(keras_hub.samplers.Sampler):
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
        num_return_sequences: int, at most `num_beams`. Above 1 the result has
            an axis more, best first. Defaults to `1`.
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
    >>> from unilmv2_tf.generation import BeamSearchSampler
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
        length penalty).
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
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value, least in (
            ("num_beams", num_beams, 1),
            ("length_penalty", length_penalty, 0),
            ("min_length", min_length, 0),
            ("no_repeat_ngram_size", no_repeat_ngram_size, 0),
            ("num_return_sequences", num_return_sequences, 1),
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
        self.num_beams = num_beams
        self.length_penalty = length_penalty
        self.min_length = min_length
        self.no_repeat_ngram_size = no_repeat_ngram_size
        self.ignored_token_ids = tuple(int(i) for i in ignored_token_ids)
        self.num_return_sequences = num_return_sequences
        self.return_scores = return_scores

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
        state = self.initial_state(prompt, () if cache is None else cache)

        def cond(state, index):
            return ops.logical_not(ops.all(state["is_done"]))

        def body(state, index):
            flat_ids = self._flatten_beams(state["token_ids"])
            logits, _, new_cache = next(flat_ids, state["cache"], index)
            state = {**state, "cache": new_cache}
            state, _ = self.step(state, logits, index, mask, stop_token_ids)
            return state, index + 1

        state, _ = self.run_loop(
            cond,
            body,
            model=model,
            loop_vars=(state, index),
            maximum_iterations=max_length - index,
        )
        return self._best(state, mask)

    def initial_state(self, prompt, cache):
        """The state before the first step: one open beam per example.

        Args:
            prompt: int tensor of shape `(batch, max_length)`.
            cache: nested tensors with the batch on their first axis.

        Returns:
            A dict: the open beams' `token_ids` `(batch, num_beams,
            max_length)`, `log_probs` and `has_ended` `(batch, num_beams)`; the
            set aside `best_ids`, `best_scores`, `best_log_probs`; `is_done`
            `(batch,)`; the `cache`, repeated for the beams.
        """
        first_of = ops.zeros_like(prompt[:, :1], dtype="float32")
        only_first = ops.array(
            [[0.0] + [NO_HYPOTHESIS] * (self.num_beams - 1)], dtype="float32"
        )
        log_probs = first_of + only_first
        empty = first_of + ops.full(
            (1, self.num_return_sequences), NO_HYPOTHESIS, dtype="float32"
        )

        def repeat(x, times):
            return ops.repeat(ops.expand_dims(x, 1), times, axis=1)

        return {
            "token_ids": repeat(prompt, self.num_beams),
            "log_probs": log_probs,
            "has_ended": ops.zeros_like(log_probs, dtype="bool"),
            "best_ids": repeat(prompt, self.num_return_sequences),
            "best_scores": empty,
            "best_log_probs": empty,
            "is_done": ops.zeros_like(log_probs[:, 0], dtype="bool"),
            "cache": keras.tree.map_structure(
                lambda x: self._flatten_beams(repeat(x, self.num_beams)), cache
            ),
        }

    def step(self, state, logits, index, mask, stop_token_ids):
        """Extends the beams by the token at `index`.

        Args:
            state: as `initial_state` returns it.
            logits: float tensor of shape `(batch * num_beams,
                vocabulary_size)`.
            index: scalar int tensor.
            mask: bool tensor of shape `(batch, max_length)`, True where the
                prompt is a forced prefix.
            stop_token_ids: tuple of ids, or `None`.

        Returns:
            A tuple of the next state and, for a trace, the pair of the chosen
            tokens and of the beams that they extend, `(batch, num_beams)`.
        """
        prefix_length = ops.sum(ops.cast(mask, "int32"), axis=1)
        length = index + 1 - prefix_length
        forced = ops.take(mask, index[None], axis=1)
        log_probs = self._token_log_probs(
            state, logits, index, prefix_length, stop_token_ids
        )
        new_log_probs, beams, tokens = self._choose(state, log_probs)

        # Where the prefix dictates the token, every beam goes on as it is.
        prompt_token = ops.take(state["token_ids"], index[None], axis=2)
        tokens = ops.where(forced, prompt_token[..., 0], tokens)
        same_beam = ops.zeros_like(beams) + ops.arange(
            self.num_beams, dtype=beams.dtype
        )
        beams = ops.where(forced, same_beam, beams)
        new_log_probs = ops.where(forced, state["log_probs"], new_log_probs)

        token_ids = self._take_beams(state["token_ids"], beams)
        is_new = ops.arange(ops.shape(token_ids)[2]) == index
        token_ids = ops.where(is_new, tokens[..., None], token_ids)
        has_ended = ops.logical_and(
            self._is_stop(tokens, stop_token_ids), ops.logical_not(forced)
        )
        state = {
            **state,
            "token_ids": token_ids,
            "log_probs": new_log_probs,
            "has_ended": has_ended,
            "cache": self._reorder_cache(state["cache"], beams),
        }
        state = self._set_aside(state, has_ended, length)
        max_length = ops.shape(mask)[1] - prefix_length
        return self._update_done(state, max_length), (tokens, beams)

    def _token_log_probs(
        self, state, logits, index, prefix_length, stop_token_ids
    ):
        logits = ops.cast(logits, "float32") / self.temperature
        log_probs = ops.log_softmax(logits, axis=-1)
        vocabulary_size = log_probs.shape[-1]
        if self.no_repeat_ngram_size:
            log_probs = log_probs + repeated_ngram_penalty(
                self._flatten_beams(state["token_ids"]),
                index,
                ops.repeat(prefix_length, self.num_beams, axis=0),
                self.no_repeat_ngram_size,
                vocabulary_size,
                self.ignored_token_ids,
            )
        log_probs = ops.reshape(
            log_probs, (-1, self.num_beams, vocabulary_size)
        )
        if self.min_length and stop_token_ids is not None:
            vocabulary = ops.arange(vocabulary_size)
            too_short = index + 1 - prefix_length <= self.min_length
            log_probs = ops.where(
                ops.logical_and(
                    too_short[:, None, None],
                    self._is_stop(vocabulary, stop_token_ids),
                ),
                FORBIDDEN_SCORE,
                log_probs,
            )
        return log_probs

    def _choose(self, state, log_probs):
        """The best continuations: log-probabilities, their beams, tokens."""
        # The best of each beam first: a top-k over beams times vocabulary
        # would sort the whole product.
        per_beam = min(self.num_beams, log_probs.shape[-1])
        candidates, tokens = ops.top_k(log_probs, per_beam)
        running = state["log_probs"] + ops.where(
            state["has_ended"], FORBIDDEN_SCORE, 0.0
        )
        candidates = candidates + running[..., None]
        candidates = ops.reshape(candidates, (-1, self.num_beams * per_beam))
        tokens = ops.reshape(tokens, (-1, self.num_beams * per_beam))
        new_log_probs, chosen = ops.top_k(candidates, self.num_beams)
        tokens = ops.take_along_axis(tokens, chosen, axis=1)
        shape = (-1, self.num_beams)
        return (
            ops.reshape(new_log_probs, shape),
            ops.cast(ops.reshape(chosen // per_beam, shape), "int32"),
            ops.cast(ops.reshape(tokens, shape), state["token_ids"].dtype),
        )

    def _set_aside(self, state, candidates, length):
        """Ranks candidate beams with the hypotheses that were set aside."""
        is_candidate = ops.logical_and(
            candidates, ops.logical_not(state["is_done"])[:, None]
        )
        scores = ops.where(
            is_candidate,
            state["log_probs"] / self._length_divisor(length)[:, None],
            NO_HYPOTHESIS,
        )
        scores = ops.concatenate([state["best_scores"], scores], axis=1)
        log_probs = ops.concatenate(
            [state["best_log_probs"], state["log_probs"]], axis=1
        )
        token_ids = ops.concatenate(
            [state["best_ids"], state["token_ids"]], axis=1
        )
        # Equal scores: the earlier one wins, as it stands first.
        best_scores, best = ops.top_k(scores, self.num_return_sequences)
        shape = (-1, self.num_return_sequences)
        return {
            **state,
            "best_scores": ops.reshape(best_scores, shape),
            "best_log_probs": ops.reshape(
                ops.take_along_axis(log_probs, best, axis=1), shape
            ),
            "best_ids": self._take_beams(token_ids, best),
        }

    def _update_done(self, state, max_length):
        # Log-probabilities only fall, and no divisor is above that of the
        # longest text: so much an open beam can reach at most.
        open_log_probs = ops.where(
            state["has_ended"], NO_HYPOTHESIS, state["log_probs"]
        )
        reachable = ops.max(open_log_probs, axis=1) / self._length_divisor(
            max_length
        )
        is_settled = state["best_scores"][:, -1] >= reachable
        all_ended = ops.all(state["has_ended"], axis=1)
        is_done = state["is_done"] | all_ended | is_settled
        return {**state, "is_done": is_done}

    def _best(self, state, mask):
        max_length = ops.shape(mask)[1] - ops.sum(
            ops.cast(mask, "int32"), axis=1
        )
        # What is still open at the end counts as it stands.
        is_open = ops.logical_not(state["has_ended"])
        state = self._set_aside(state, is_open, max_length)
        outputs = {
            "decoder_token_ids": state["best_ids"],
            "scores": state["best_scores"],
            "log_probs": state["best_log_probs"],
        }
        if self.num_return_sequences == 1:
            outputs = {name: x[:, 0] for name, x in outputs.items()}
        if self.return_scores:
            return outputs
        return outputs["decoder_token_ids"]

    def _length_divisor(self, length):
        length = ops.cast(length, "float32")
        return ops.power((5.0 + length) / 6.0, self.length_penalty)

    def _is_stop(self, token_ids, stop_token_ids):
        is_stop = ops.zeros_like(token_ids, dtype="bool")
        for stop_token_id in stop_token_ids or ():
            is_stop = ops.logical_or(is_stop, token_ids == stop_token_id)
        return is_stop

    def _flatten_beams(self, x):
        return ops.reshape(x, (-1, *ops.shape(x)[2:]))

    def _take_beams(self, x, beams):
        """Picks rows of `(batch, candidates, length)` by `(batch, k)`."""
        _, num_candidates, length = ops.shape(x)
        flat = self._flat_indices(beams, num_candidates)
        x = ops.take(ops.reshape(x, (-1, length)), flat, axis=0)
        return ops.reshape(x, (-1, beams.shape[1], length))

    def _reorder_cache(self, cache, beams):
        flat = self._flat_indices(beams, self.num_beams)
        return keras.tree.map_structure(
            lambda x: ops.take(x, flat, axis=0), cache
        )

    def _flat_indices(self, beams, num_candidates):
        batch_size = ops.shape(beams)[0]
        starts = ops.arange(batch_size, dtype=beams.dtype) * num_candidates
        return ops.reshape(beams + starts[:, None], (-1,))

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
            }
        )
        return config
