from keras import ops

from unilmv2_tf.samplers.beams import BeamCache
from unilmv2_tf.samplers.beams import flat_beams
from unilmv2_tf.samplers.beams import flatten_beams
from unilmv2_tf.samplers.beams import repeat_for_beams
from unilmv2_tf.samplers.beams import take_beams
from unilmv2_tf.samplers.ngram_rule import FORBIDDEN_SCORE
from unilmv2_tf.samplers.token_rules import is_any_of
from unilmv2_tf.samplers.token_rules import token_penalty

# Below any score that a hypothesis can have, forbidden tokens included.
NO_HYPOTHESIS = -1e9


class BeamSearchSteps:
    """The steps of a beam search, as settings of the subclass say.

    A mix-in for `BeamSearchSampler`. A row of what follows is a search of its
    own: a group of beams of an example, `batch * num_groups` in all.
    """

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
