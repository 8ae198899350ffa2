import keras
import keras_hub
from keras import ops

from unilmv2_tf.generation.beams import BeamCache
from unilmv2_tf.generation.beams import flat_beams
from unilmv2_tf.generation.beams import flatten_beams
from unilmv2_tf.generation.beams import repeat_for_beams
from unilmv2_tf.generation.beams import take_beams
from unilmv2_tf.generation.forbidden_tokens import check_forbidden_token_ids
from unilmv2_tf.generation.ngram_rule import FORBIDDEN_SCORE
from unilmv2_tf.generation.token_rules import is_any_of
from unilmv2_tf.generation.token_rules import token_penalty

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

    # Below, a row is a search: a group of beams of an example.

    def initial_state(self, prompt, cache):
        """The state before the first step: one open beam per search.

        Args:
            prompt: int tensor of shape `(batch, max_length)`.
            cache: nested tensors, what `BeamCache.start` returned.

        Returns:
            A dict: the open beams' `token_ids` `(batch * num_groups, beams,
            max_length)`, `log_probs` and `has_ended` `(batch * num_groups,
            beams)`; the set aside `best_ids`, `best_scores`, `best_log_probs`;
            `is_done` `(batch * num_groups,)`; the `cache`.
        """
        prompt = ops.repeat(prompt, self.num_groups, axis=0)
        first_of = ops.zeros_like(prompt[:, :1], dtype="float32")
        only_first = ops.array(
            [[0.0] + [NO_HYPOTHESIS] * (self._num_beams - 1)], dtype="float32"
        )
        log_probs = first_of + only_first
        empty = first_of + ops.full(
            (1, self._num_kept), NO_HYPOTHESIS, dtype="float32"
        )
        return {
            "token_ids": repeat_for_beams(prompt, self._num_beams),
            "log_probs": log_probs,
            "has_ended": ops.zeros_like(log_probs, dtype="bool"),
            "best_ids": repeat_for_beams(prompt, self._num_kept),
            "best_scores": empty,
            "best_log_probs": empty,
            "is_done": ops.zeros_like(log_probs[:, 0], dtype="bool"),
            "cache": cache,
        }

    def step(self, state, logits, index, mask, stop_token_ids, beam_cache=None):
        """Extends the beams by the token at `index`.

        Args:
            state: as `initial_state` returns it.
            logits: float tensor of shape `(batch * num_beams,
                vocabulary_size)`.
            index: scalar int tensor.
            mask: bool tensor of shape `(batch, max_length)`, True where the
                prompt is a forced prefix.
            stop_token_ids: tuple of ids, or `None`.
            beam_cache: the `BeamCache` that started the beams. Defaults to
                `None`: one without a `next`.

        Returns:
            A tuple of the next state and, for a trace, the pair of the chosen
            tokens and of the beams that they extend, `(batch * num_groups,
            beams)`.
        """
        mask = ops.repeat(mask, self.num_groups, axis=0)
        prefix_length = ops.sum(ops.cast(mask, "int32"), axis=1)
        length = index + 1 - prefix_length
        forced = ops.take(mask, index[None], axis=1)
        new_log_probs, beams, tokens = self._choose(
            state, self._log_probs(state, logits, index, length, stop_token_ids)
        )

        # Where the prefix dictates the token, every beam goes on as it is.
        prompt_token = ops.take(state["token_ids"], index[None], axis=2)
        tokens = ops.where(forced, prompt_token[..., 0], tokens)
        same_beam = ops.zeros_like(beams) + ops.arange(
            self._num_beams, dtype=beams.dtype
        )
        beams = ops.where(forced, same_beam, beams)
        new_log_probs = ops.where(forced, state["log_probs"], new_log_probs)

        token_ids = take_beams(state["token_ids"], beams)
        is_new = ops.arange(ops.shape(token_ids)[2]) == index
        token_ids = ops.where(is_new, tokens[..., None], token_ids)
        has_ended = ops.logical_and(
            is_any_of(tokens, stop_token_ids), ops.logical_not(forced)
        )
        beam_cache = beam_cache or BeamCache(None, self.num_beams)
        state = {
            **state,
            "token_ids": token_ids,
            "log_probs": new_log_probs,
            "has_ended": has_ended,
            "cache": beam_cache.reorder(
                state["cache"], flat_beams(beams, self._num_beams)
            ),
        }
        state = self._set_aside(state, has_ended, length)
        max_length = ops.shape(mask)[1] - prefix_length
        return self._update_done(state, max_length), (tokens, beams)

    def _log_probs(self, state, logits, index, length, stop_token_ids):
        """`(batch * num_groups, beams, vocabulary_size)`, and what is to be
        taken off: the top of many logits is found before they are normalised.
        """
        logits = ops.cast(logits, "float32") / self.temperature
        normalizer = ops.logsumexp(logits, axis=-1)
        logits = logits + token_penalty(
            flatten_beams(state["token_ids"]),
            index,
            ops.repeat(length, self._num_beams, axis=0),
            stop_token_ids,
            logits.shape[-1],
            min_length=self.min_length,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            ignored_token_ids=self.ignored_token_ids,
            forbidden_token_ids=self.forbidden_token_ids,
        )
        shape = (-1, self._num_beams, logits.shape[-1])
        return (
            ops.reshape(logits, shape),
            ops.reshape(normalizer, (-1, self._num_beams)),
        )

    def _choose(self, state, log_probs):
        """The best continuations: log-probabilities, their beams, tokens."""
        logits, normalizer = log_probs
        running = state["log_probs"] - normalizer
        running = running + ops.where(state["has_ended"], FORBIDDEN_SCORE, 0.0)
        if self.num_groups == 1:
            return self._choose_in_group(state, logits, running)
        by_group = (-1, self.num_groups, self._num_beams)
        vocabulary_size = logits.shape[-1]
        logits = ops.reshape(logits, (*by_group, vocabulary_size))
        running = ops.reshape(running, by_group)
        is_done = ops.reshape(state["is_done"], (-1, self.num_groups, 1))
        penalty = ops.zeros_like(logits[:, 0, :1])
        chosen = []
        for group in range(self.num_groups):
            chosen.append(
                self._choose_in_group(
                    state, logits[:, group], running[:, group], penalty
                )
            )
            tokens = ops.one_hot(
                chosen[-1][2], vocabulary_size, dtype="float32"
            )
            # A search that is over has no say.
            counts = ops.sum(tokens, axis=1) * ops.where(
                is_done[:, group], 0.0, 1.0
            )
            penalty = penalty + self.diversity_penalty * counts[:, None]
        return tuple(
            ops.reshape(ops.stack(x, axis=1), (-1, self._num_beams))
            for x in zip(*chosen)
        )

    def _choose_in_group(self, state, logits, running, penalty=None):
        # The best of each beam first: a top-k over beams times vocabulary
        # would sort the whole product.
        per_beam = min(self._num_beams, logits.shape[-1])
        size = self._num_beams * per_beam
        ranked = logits if penalty is None else logits - penalty
        candidates, tokens = ops.top_k(ranked, per_beam)
        candidates = candidates + running[..., None]
        candidates = ops.reshape(candidates, (-1, size))
        new_log_probs, chosen = ops.top_k(candidates, self._num_beams)
        if penalty is not None:
            # Scores are those of the model.
            values = ops.take_along_axis(logits, tokens, axis=2)
            values = ops.reshape(values + running[..., None], (-1, size))
            new_log_probs = ops.take_along_axis(values, chosen, axis=1)
        tokens = ops.take_along_axis(
            ops.reshape(tokens, (-1, size)), chosen, axis=1
        )
        shape = (-1, self._num_beams)
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
        return {
            **state,
            **_best_of(
                ops.concatenate([state["best_scores"], scores], axis=1),
                ops.concatenate(
                    [state["best_log_probs"], state["log_probs"]], axis=1
                ),
                ops.concatenate(
                    [state["best_ids"], state["token_ids"]], axis=1
                ),
                self._num_kept,
            ),
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
        mask = ops.repeat(mask, self.num_groups, axis=0)
        max_length = ops.shape(mask)[1] - ops.sum(
            ops.cast(mask, "int32"), axis=1
        )
        # What is still open at the end counts as it stands.
        is_open = ops.logical_not(state["has_ended"])
        state = self._set_aside(state, is_open, max_length)
        num_candidates = self.num_groups * self._num_kept
        best = _best_of(
            ops.reshape(state["best_scores"], (-1, num_candidates)),
            ops.reshape(state["best_log_probs"], (-1, num_candidates)),
            ops.reshape(
                state["best_ids"],
                (-1, num_candidates, ops.shape(state["best_ids"])[2]),
            ),
            self.num_return_sequences,
        )
        outputs = {
            "decoder_token_ids": best["best_ids"],
            "scores": best["best_scores"],
            "log_probs": best["best_log_probs"],
        }
        if self.num_return_sequences == 1:
            outputs = {name: x[:, 0] for name, x in outputs.items()}
        if self.return_scores:
            return outputs
        return outputs["decoder_token_ids"]

    def _length_divisor(self, length):
        length = ops.cast(length, "float32")
        return ops.power((5.0 + length) / 6.0, self.length_penalty)

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


def _best_of(scores, log_probs, token_ids, count):
    """The best of `(rows, candidates)`; of equal ones those that come first."""
    best_scores, best = ops.top_k(scores, count)
    shape = (-1, count)
    return {
        "best_scores": ops.reshape(best_scores, shape),
        "best_log_probs": ops.reshape(
            ops.take_along_axis(log_probs, best, axis=1), shape
        ),
        "best_ids": take_beams(token_ids, best),
    }
